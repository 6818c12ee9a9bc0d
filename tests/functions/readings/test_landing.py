"""Files put where the job reads: a folder, and a container of a storage account that is a real process."""

import logging
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import SecretStr

from functions.readings.landing import BlobLanding, FolderLanding, Landing, open_landing
from functions.settings import LandingSettings
from shared_code.errors import UnavailableError
from tests.seams.azurite import ACCOUNT, KEY, azurite, make_container

PATH = "readings/api/x/2026-01-12/name.parquet"


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    with azurite(tmp_path_factory.mktemp("azurite")) as connection_string:
        make_container(connection_string, "lake")
        yield connection_string


def in_azure(connection_string: str, folder: str = "landing", container: str = "lake") -> LandingSettings:
    return LandingSettings(
        altaviz_landing=f"abfss://{container}@{ACCOUNT}.dfs.core.windows.net/{folder}",
        altaviz_landing_connection_string=SecretStr(connection_string),
    )


@pytest.fixture(params=["folder", "azure"])
def landing(request: pytest.FixtureRequest, tmp_path: Path) -> Landing:
    if request.param == "folder":
        return FolderLanding(tmp_path / "landing")
    return BlobLanding(in_azure(request.getfixturevalue("storage"), folder=tmp_path.name.replace("_", "-")))


def test_a_file_is_put_once_and_not_replaced(landing: Landing) -> None:
    assert landing.create(PATH, b"first")
    assert not landing.create(PATH, b"second")
    assert landing.read(PATH) == b"first"


def test_of_many_at_once_one_puts_the_file(landing: Landing) -> None:
    contents = [bytes([number]) * 100_000 for number in range(20)]
    with ThreadPoolExecutor(20) as pool:
        created = list(pool.map(landing.create, [PATH] * 20, contents))

    assert created.count(True) == 1
    assert landing.read(PATH) == contents[created.index(True)]


def test_in_a_folder_nothing_else_is_left_behind(tmp_path: Path) -> None:
    landing = FolderLanding(tmp_path)
    for _ in range(3):
        landing.create(PATH, b"x")

    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()] == [PATH]


def test_half_a_file_has_a_name_that_the_job_passes_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def crash(path: Path, _: Path) -> None:
        seen.extend(each.name for each in path.parent.iterdir())
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "hardlink_to", crash)
    with pytest.raises(UnavailableError):
        FolderLanding(tmp_path).create(PATH, b"x")

    assert len(seen) == 1
    assert seen[0].startswith(".name.parquet.")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_landing_that_cannot_be_reached_is_unavailable_and_tells_no_secret(
    storage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    (tmp_path / "file").write_bytes(b"")
    nowhere = [FolderLanding(tmp_path / "file"), BlobLanding(in_azure(storage, container="missing"))]
    for landing in nowhere:
        with pytest.raises(UnavailableError) as create:
            landing.create(PATH, b"x")
        with pytest.raises(UnavailableError) as read:
            landing.read(PATH)
        assert KEY not in f"{create.value} {read.value}"

    assert "ContainerNotFound" in caplog.text
    assert KEY not in caplog.text


def test_the_settings_choose_the_landing_once(storage: str, tmp_path: Path) -> None:
    folder = LandingSettings(altaviz_landing=str(tmp_path))
    azure = in_azure(storage)

    assert isinstance(open_landing(folder), FolderLanding)  # pyright: ignore[reportArgumentType] - frozen
    assert isinstance(open_landing(azure), BlobLanding)  # pyright: ignore[reportArgumentType] - frozen
    assert open_landing(azure) is open_landing(in_azure(storage))  # pyright: ignore[reportArgumentType] - frozen
    assert KEY not in repr(azure)


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("abfss://lake@account.dfs.core.windows.net", ("https://account.blob.core.windows.net", "lake", "")),
        ("abfss://lake@account.dfs.core.windows.net/", ("https://account.blob.core.windows.net", "lake", "")),
        (
            "abfss://lake@account.dfs.core.usgovcloudapi.net/in/landing",
            ("https://account.blob.core.usgovcloudapi.net", "lake", "in/landing/"),
        ),
        ("/var/landing", None),
    ],
)
def test_an_address_is_the_jobs_own(address: str, place: object) -> None:
    assert LandingSettings(altaviz_landing=address).in_azure == place


@pytest.mark.parametrize(
    "address", ["https://account.blob.core.windows.net/lake", "abfss://lake@evil.example/x", "s3://x"]
)
def test_another_kind_of_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="must be a folder, or like abfss"):
        LandingSettings(altaviz_landing=address)
