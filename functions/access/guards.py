"""What is checked when the application is put together: that the table of roles and the operations agree."""

from collections.abc import Iterator

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts

from functions.access import caller
from functions.access.roles import LEAST_ROLE
from shared_code.database.tables.organizations import UserRole


def refuse_unguarded(app: FastAPI) -> None:
    """Check that each operation has a row in the table of roles and asks for what the row says.

    Raises:
        ValueError: names the operation that would be open, or closed, by mistake.
    """
    for context in iter_route_contexts(app.routes):
        if isinstance(context.original_route, APIRoute):
            _check(context.original_route)


def _check(route: APIRoute) -> None:
    name = route.operation_id or route.name
    if name not in LEAST_ROLE:
        raise ValueError(f"{name}: has no row in functions/access/roles.py")
    least, asked = LEAST_ROLE[name], set(_calls(route.dependant))
    if least is None and caller.enter in asked:
        raise ValueError(f"{name}: wants a session, and its row says that none is needed")
    # What confirms the session by itself asks for no role: any will do.
    enough = {caller.enter, caller.presented_session} if least is UserRole.VIEWER else {caller.enter}
    if least is not None and not enough & asked:
        raise ValueError(f"{name}: its row says {least}, and it asks for no session")


def _calls(dependant: Dependant) -> Iterator[object]:
    for dependency in dependant.dependencies:
        yield dependency.call
        yield from _calls(dependency)
