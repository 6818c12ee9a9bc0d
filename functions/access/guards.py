"""What is checked when the application is put together: that the table of roles and the operations agree."""

from collections.abc import Iterator

from fastapi import APIRouter
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts

from functions.access import caller, installation, writes
from functions.access.roles import ANYBODY, MEMBERS, RULES
from functions.access.writes import WriteRoute


def refuse_unguarded(router: APIRouter) -> None:
    """Check that each operation has a row in the table of roles and asks who asks as the row says.

    Raises:
        ValueError: names the operation that would be open, or closed, by mistake.
    """
    for context in iter_route_contexts(router.routes):
        if isinstance(context.original_route, APIRoute):
            _check(context.original_route)


def _check(route: APIRoute) -> None:
    name = route.operation_id or route.name
    if name not in RULES:
        raise ValueError(f"{name}: has no row in functions/access/roles.py")
    rule, asked = RULES[name], set(_calls(route.dependant))
    if {writes.open_write, installation.open_write_or_key} & asked and not isinstance(route, WriteRoute):
        raise ValueError(
            f"{name}: writes, and its router does not keep what it answers; see functions/access/writes.py"
        )
    if rule == ANYBODY:
        if caller.enter in asked:
            raise ValueError(f"{name}: wants to know who asks, and its row says that anybody may")
        return
    enough: set[object] = {caller.enter}
    if rule == MEMBERS:  # what confirms the session by itself asks for no role: any will do
        enough.add(caller.presented_session)
    if rule.role is None:
        enough.add(caller.ingest_key)
    if rule.installation:
        enough = {installation.enter_or_key}
    if not enough & asked:
        raise ValueError(f"{name}: its row says {rule}, and it does not ask who asks")


def _calls(dependant: Dependant) -> Iterator[object]:
    for dependency in dependant.dependencies:
        yield dependency.call
        yield from _calls(dependency)
