import tomllib

from shared_code.settings import ROOT
from shared_code.version import VERSION


def test_the_version_is_said_once() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"] == VERSION
