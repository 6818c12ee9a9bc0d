"""The import contracts are not only kept: an import that breaks one is noticed."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("functions", "etl_job", "simulator", "shared_code")
LINT_IMPORTS = "from importlinter.cli import lint_imports_command; lint_imports_command()"


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages' modules, without anything else that lies in their folders."""
    copy = tmp_path_factory.mktemp("house")
    for path in (ROOT / "pyproject.toml", *(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))):
        target = copy / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    return copy


def lint_imports(house: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - the linter, on our own files
        [sys.executable, "-c", LINT_IMPORTS, "--no-cache"],
        cwd=house,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_house_keeps_its_contracts(copy: Path) -> None:
    linted = lint_imports(copy)

    assert linted.returncode == 0, linted.stdout
    assert "0 broken" in linted.stdout


@pytest.mark.parametrize(
    ("module", "line", "broken"),
    [
        ("functions/problems.py", "import etl_job.decode", "The three programs meet only in data BROKEN"),
        ("etl_job/quality.py", "import functions.settings", "The three programs meet only in data BROKEN"),
        ("shared_code/errors.py", "import simulator.fleet", "The three programs meet only in data BROKEN"),
        ("shared_code/readings.py", "import pyspark", "Spark stays in the job BROKEN"),
        ("functions/pagination.py", "from delta.tables import DeltaTable", "Spark stays in the job BROKEN"),
        ("functions/fleet/actions.py", "import deltalake", "one of them reads the lake BROKEN"),
    ],
)
def test_an_import_across_a_border_is_noticed(copy: Path, module: str, line: str, broken: str) -> None:
    file = copy / module
    kept = file.read_text(encoding="utf-8")
    file.write_text(f"{kept}\n{line}\n", encoding="utf-8")
    try:
        linted = lint_imports(copy)
    finally:
        file.write_text(kept, encoding="utf-8")

    assert linted.returncode == 1
    assert broken in linted.stdout
