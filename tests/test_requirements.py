"""The requirement files are what pyproject.toml's groups come out at: every package, pinned and hashed, and no more."""

import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
GROUPS: dict[str, list[Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]
FILES = {"requirements.txt": "functions", "etl_job/requirements.txt": "etl", "requirements-dev.txt": "dev"}

by_file = pytest.mark.parametrize(("file", "group"), FILES.items())


def direct(group: str) -> Iterator[Requirement]:
    """Return what a group asks for, with the groups it includes."""
    for entry in GROUPS[group]:
        if isinstance(entry, str):
            yield Requirement(entry)
        else:
            yield from direct(entry["include-group"])


def holds_here(requirement: Requirement, extra: str = "") -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def closure(requirements: Iterator[Requirement]) -> dict[str, str]:
    """Return the packages that the requirements bring with them here, each with its installed version."""
    versions: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    waiting = [requirement for requirement in requirements if holds_here(requirement)]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        installed = distribution(name)
        versions[name] = installed.version
        needs = [Requirement(need) for need in installed.requires or []]
        for extra in {"", *requirement.extras} - {extra for asked, extra in seen if asked == name}:
            seen.add((name, extra))
            waiting.extend(need for need in needs if holds_here(need, extra))
    return versions


def lines(file: str) -> list[str]:
    """Return a requirement file's entries, each in one line, without comments."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / file).read_text(encoding="utf-8"), flags=re.MULTILINE)
    return text.replace("\\\n", "").splitlines()


def pinned(file: str) -> dict[str, str]:
    """Return the versions that a file installs here."""
    requirements = (Requirement(line.split(" --hash=")[0].strip()) for line in lines(file))
    return {
        canonicalize_name(requirement.name): str(requirement.specifier).removeprefix("==")
        for requirement in requirements
        if holds_here(requirement)
    }


@by_file
def test_the_file_is_exactly_what_the_group_brings_with_it(file: str, group: str) -> None:
    assert pinned(file) == closure(direct(group))


@by_file
def test_every_direct_requirement_is_satisfied(file: str, group: str) -> None:
    versions = pinned(file)

    unsatisfied = [
        str(asked)
        for asked in direct(group)
        if holds_here(asked) and not asked.specifier.contains(versions[canonicalize_name(asked.name)])
    ]
    assert unsatisfied == []


@by_file
def test_every_line_is_one_version_with_its_hashes(file: str, group: str) -> None:
    assert GROUPS[group]
    wrong = [
        line
        for line in lines(file)
        if not re.fullmatch(r"[a-z0-9-]+==[\w.]+ (; [^#\\]+? )?(\s*--hash=sha256:[0-9a-f]{64})+", line)
    ]

    assert wrong == []


@pytest.mark.parametrize("file", FILES)
def test_the_file_names_no_place_to_install_from(file: str) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")

    assert re.findall(r"://|index-url|find-links|trusted-host|^\s*-[^-]| @ ", text, flags=re.MULTILINE) == []


def test_the_function_app_ships_without_spark() -> None:
    assert {"pyspark", "delta-spark", "py4j"}.isdisjoint(pinned("requirements.txt"))


def test_the_spark_image_ships_without_the_api() -> None:
    assert {"fastapi", "starlette", "azure-functions", "pyjwt"}.isdisjoint(pinned("etl_job/requirements.txt"))


def test_the_programs_agree_on_every_version_they_share() -> None:
    versions = [pinned(file) for file in FILES]

    assert {name: version for one in versions for name, version in one.items()} == pinned("requirements-dev.txt")
    for one in versions:
        assert one.items() <= pinned("requirements-dev.txt").items()


def test_groups_and_extras_are_followed() -> None:
    asked = {requirement.name for requirement in direct("functions")}

    assert {"fastapi", "sqlalchemy"} <= asked
    assert "psycopg-binary" in closure(iter([Requirement("psycopg[binary]")]))
    assert "psycopg-binary" not in closure(iter([Requirement("psycopg")]))
    assert "psycopg-binary" in closure(iter([Requirement("psycopg[binary]"), Requirement("psycopg")]))
