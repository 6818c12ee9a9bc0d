"""Settings: one class per concern, read from `config/*.yaml`, where `${VAR:-default}` takes from the environment."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal, TypeVar
from uuid import UUID

import expandvars
from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, YamlConfigSettingsSource

from shared_code.errors import SettingsError

ROOT = Path(__file__).resolve().parent.parent
CONFIG = ROOT / "config"
HOME = ROOT / ".altaviz"
"""What the product keeps on a laptop: the embedded database, the demo's landing folder and lake."""

EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""No machine's clock was right before; most wrong ones start at 1970."""

SettingsT = TypeVar("SettingsT", bound=BaseSettings)


class ExpandedYaml(YamlConfigSettingsSource):
    """A flat YAML file whose values may be `${VAR:-default}`; one that comes out empty is not set."""

    def __call__(self) -> dict[str, Any]:
        """Return the file's settings."""
        # Filled in after parsing, so that no character of a password can change the file's structure.
        written = super().__call__()
        values = {key: _expanded(value) for key, value in written.items()}
        return {key: value for key, value in values.items() if value != ""}


def _expanded(value: object) -> object:
    return str(expandvars.expandvars(value)) if isinstance(value, str) else value  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]


class YamlSettings(BaseSettings):
    """Settings that live in one file under `config/`, named by `yaml_file`."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take values from the caller and from the file, and from nowhere else."""
        del env_settings, dotenv_settings, file_secret_settings
        return init_settings, ExpandedYaml(settings_cls)


class DatabaseSettings(YamlSettings):
    """Where the SQL database is; without a host it is the embedded PostgreSQL under `data_dir`."""

    model_config = SettingsConfigDict(yaml_file=CONFIG / "database.yaml")

    db_type: Literal["postgresql", "azure_sql"] = "postgresql"
    host: str | None = None
    port: int = 5432
    name: str = "altaviz"
    user: str | None = None
    password: SecretStr | None = None
    sslmode: str = "prefer"
    data_dir: Path = HOME / "postgresql"
    pool_size: int = Field(default=5, ge=1)

    @property
    def embedded(self) -> bool:
        """Whether this is the laptop's own database."""
        return self.host is None


class JobSettings(YamlSettings):
    """How the Spark job works."""

    model_config = SettingsConfigDict(yaml_file=CONFIG / "etl_config.yaml")

    default_organization: UUID | None = None
    """Owner of files without an organization. Without it, and with the embedded database, the demo's."""
    reading_interval_minutes: int = Field(default=10, ge=1, le=60)
    clock_tolerance_minutes: int = Field(default=15, ge=0)
    files_per_batch: int = Field(default=5000, ge=1)
    rows_per_partition: int = Field(default=1_000_000, ge=1)
    silver_retention_days: int = Field(default=1826, ge=30)
    """What is older leaves Silver, and is too old to arrive."""
    delta_history_days: int = Field(default=7, ge=7)
    """How long files that a table no longer needs stay for readers of older versions."""
    master: str = "local[*]"
    driver_memory: str = "3g"
    java_options: str = ""

    @property
    def clock_tolerance(self) -> timedelta:
        """How far a reading may lie ahead of its delivery."""
        return timedelta(minutes=self.clock_tolerance_minutes)

    def horizon(self, now: datetime) -> datetime:
        """Return the earliest instant that a reading may have: later than anything that Silver has let go."""
        return max(EARLIEST, now - timedelta(days=self.silver_retention_days))


def read(settings: type[SettingsT], **overrides: Any) -> SettingsT:  # noqa: ANN401 - whatever the class takes
    """Make a settings object.

    Raises:
        SettingsError: names every setting that is missing or wrong, never its value.
    """
    try:
        return settings(**overrides)
    except ValidationError as wrong:
        details = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'settings'}: {e['msg']}" for e in wrong.errors())
        raise SettingsError(f"{settings.__name__}: {details}") from None
