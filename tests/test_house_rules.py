"""Rules of the house that no linter knows, read from the syntax tree."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = ("functions", "etl_job", "simulator", "shared_code")
THE_ONLY_COMMIT = ROOT / "shared_code/database/transactions.py"


def modules(*folders: str) -> Iterator[tuple[Path, ast.Module]]:
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path, ast.parse(path.read_text(encoding="utf-8"))


def test_transactions_are_begun_and_committed_in_one_place() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path, tree in modules(*PROGRAMS)
        for node in ast.walk(tree)
        if path != THE_ONLY_COMMIT
        and isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in {"begin", "commit"}
    ]

    assert found == []


def test_every_query_takes_the_connection_and_then_the_organization() -> None:
    wrong: list[str] = []
    for path, tree in modules("functions"):
        lines = path.read_text(encoding="utf-8").splitlines()
        for function in tree.body if path.name == "queries.py" else []:
            if not isinstance(function, ast.FunctionDef) or function.name.startswith("_"):
                continue
            arguments = [argument.arg for argument in function.args.args]
            excused = lines[function.lineno - 2].startswith("# organization-free: ")
            if arguments[:2] != ["connection", "organization_id"] and not excused:
                wrong.append(f"{path.relative_to(ROOT)}: {function.name}")

    assert wrong == []


def test_what_is_locked_is_chosen_once() -> None:
    """As a subquery, rows that are locked up to a limit are chosen anew for each row that they are joined with."""
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path, tree in modules(*PROGRAMS)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "subquery"
        and any(isinstance(each, ast.Attribute) and each.attr == "with_for_update" for each in ast.walk(node.func))
    ]

    assert found == []
