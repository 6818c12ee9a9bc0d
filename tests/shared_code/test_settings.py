from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from pydantic import SecretStr
from pydantic_settings import SettingsConfigDict

from shared_code.errors import SettingsError
from shared_code.settings import CONFIG, HOME, DatabaseSettings, JobSettings, YamlSettings, read

DATABASE_VARIABLES = (
    "DB_TYPE",
    "DB_HOST",
    "DB_PORT",
    "DB_NAME",
    "DB_USER",
    "DB_PASSWORD",
    "DB_SSLMODE",
    "ALTAVIZ_DATABASE_DIR",
    "DB_POOL_SIZE",
)
JOB_VARIABLES = (
    "ETL_ORGANIZATION_ID",
    "ETL_READING_INTERVAL_MINUTES",
    "ETL_CLOCK_TOLERANCE_MINUTES",
    "ETL_FILES_PER_BATCH",
    "ETL_ROWS_PER_PARTITION",
    "ETL_SILVER_RETENTION_DAYS",
    "ETL_DELTA_HISTORY_DAYS",
    "SPARK_MASTER",
    "ETL_DRIVER_MEMORY",
    "ETL_JAVA_OPTIONS",
)
# What YAML, a shell or the expansion itself would take for structure.
AWKWARD = [
    "a: b",
    "#not a comment",
    "'quoted\"",
    "{}[]&*!|>%@`",
    "p@ss:w/rd?",
    "back\\slash",
    "two\nlines",
    " spaces ",
    "null",
    "0123",
    "yes",
    "${HOME}",
    "$HOME $$ ${",
    "}-{:-x}",
    "pässwörd",
]


@pytest.fixture(autouse=True)
def nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*DATABASE_VARIABLES, *JOB_VARIABLES):
        monkeypatch.delenv(name, raising=False)


def settings_in(file: Path, written: str) -> type[YamlSettings]:
    file.write_text(written, encoding="utf-8")

    class Written(YamlSettings):
        model_config = SettingsConfigDict(yaml_file=file)

        place: str | None = None
        number: int = 7

    return Written


def test_where_nothing_is_set_the_database_is_the_laptops_own() -> None:
    settings = read(DatabaseSettings)

    assert settings.embedded
    assert settings.data_dir == HOME / "postgresql"
    assert settings.model_dump() == DatabaseSettings.model_construct().model_dump()


def test_where_nothing_is_set_the_file_and_the_class_say_the_same_of_the_job() -> None:
    assert read(JobSettings) == JobSettings.model_construct()


def test_every_variable_of_the_database_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    values = ("postgresql", "db.example", "6432", "gas", "me", "secret", "verify-full", "/data", "9")
    for name, value in zip(DATABASE_VARIABLES, values, strict=True):
        monkeypatch.setenv(name, value)

    assert read(DatabaseSettings).model_dump() == {
        "db_type": "postgresql",
        "host": "db.example",
        "port": 6432,
        "name": "gas",
        "user": "me",
        "password": SecretStr("secret"),
        "sslmode": "verify-full",
        "data_dir": Path("/data"),
        "pool_size": 9,
    }


def test_every_variable_of_the_job_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = (5, 30, 10, 1000, 400, 14)
    values = ("00000000-0000-4000-8000-000000000001", *map(str, numbers), "spark://head:7077", "6g", "-Xss4m")
    for name, value in zip(JOB_VARIABLES, values, strict=True):
        monkeypatch.setenv(name, value)

    assert list(read(JobSettings).model_dump().values()) == [UUID(values[0]), *numbers, *values[7:]]


def test_the_files_name_no_variable_that_is_not_tested_here() -> None:
    written = "".join((CONFIG / name).read_text(encoding="utf-8") for name in ("database.yaml", "etl_config.yaml"))

    assert written.count("${") == len(DATABASE_VARIABLES) + len(JOB_VARIABLES)
    assert all(f"${{{name}:-" in written for name in (*DATABASE_VARIABLES, *JOB_VARIABLES))


@pytest.mark.parametrize(
    ("environment", "expected"),
    [({}, "home"), ({"PLACE": ""}, "home"), ({"PLACE": "away"}, "away")],
    ids=["not set", "empty", "set"],
)
def test_a_default_stands_in_for_a_variable_without_a_value(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, environment: dict[str, str], expected: str
) -> None:
    monkeypatch.delenv("PLACE", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    assert read(settings_in(tmp_path / "x.yaml", "place: ${PLACE:-home}")).model_dump()["place"] == expected


@pytest.mark.parametrize("written", ["number: ${NUMBER:-}", "number: ''", "{}"])
def test_what_comes_out_empty_is_not_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, written: str) -> None:
    monkeypatch.delenv("NUMBER", raising=False)

    assert read(settings_in(tmp_path / "x.yaml", written)).model_dump() == {"place": None, "number": 7}


@pytest.mark.parametrize("value", ["0", "false"])
def test_what_is_nothing_to_python_is_still_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, value: str) -> None:
    monkeypatch.setenv("PLACE", value)

    assert read(settings_in(tmp_path / "x.yaml", "place: ${PLACE:-home}")).model_dump()["place"] == value


@pytest.mark.parametrize("password", AWKWARD)
def test_a_password_survives_whatever_it_is_made_of(monkeypatch: pytest.MonkeyPatch, password: str) -> None:
    monkeypatch.setenv("DB_PASSWORD", password)

    settings = read(DatabaseSettings)

    assert settings.password is not None
    assert settings.password.get_secret_value() == password
    assert settings == read(DatabaseSettings, password=SecretStr(password))


def test_a_password_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_PASSWORD", "canary")

    settings = read(DatabaseSettings)

    assert "canary" not in f"{settings} {settings!r} {settings.model_dump()} {settings.model_dump_json()}"


def test_all_that_is_wrong_is_named_at_once_and_not_said_back(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DB_TYPE", "DB_PORT", "DB_POOL_SIZE", "DB_PASSWORD"):
        monkeypatch.setenv(name, "canary")

    with pytest.raises(SettingsError) as refused:
        read(DatabaseSettings)

    assert str(refused.value).startswith("DatabaseSettings: ")
    assert [part.split(":")[0] for part in str(refused.value).removeprefix("DatabaseSettings: ").split("; ")] == [
        "db_type",
        "port",
        "pool_size",
    ]
    assert "canary" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ETL_ORGANIZATION_ID", "canary"),
        ("ETL_READING_INTERVAL_MINUTES", "0"),
        ("ETL_READING_INTERVAL_MINUTES", "61"),
        ("ETL_CLOCK_TOLERANCE_MINUTES", "-1"),
        ("ETL_FILES_PER_BATCH", "0"),
        ("ETL_ROWS_PER_PARTITION", "many"),
        ("ETL_SILVER_RETENTION_DAYS", "29"),
        ("ETL_DELTA_HISTORY_DAYS", "6"),
    ],
)
def test_a_job_that_cannot_work_so_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(SettingsError, match=r"^JobSettings: ") as refused:
        read(JobSettings)

    assert f" {value}" not in str(refused.value)


@pytest.mark.parametrize("overrides", [{"hots": "db.example"}, {"host": 7}])
def test_a_setting_that_does_not_exist_is_refused(overrides: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=next(iter(overrides))):
        read(DatabaseSettings, **overrides)


def test_a_name_in_the_file_that_is_no_setting_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="plaice: Extra inputs are not permitted"):
        read(settings_in(tmp_path / "x.yaml", "plaice: somewhere"))


def test_what_the_caller_gives_goes_before_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ALTAVIZ_DATABASE_DIR", "/from/the/environment")

    assert read(DatabaseSettings, data_dir=tmp_path).data_dir == tmp_path


def test_variables_that_the_file_does_not_name_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOST", "elsewhere.example")
    monkeypatch.setenv("host", "elsewhere.example")

    assert read(DatabaseSettings).embedded


def test_settings_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        read(DatabaseSettings).port = 1
