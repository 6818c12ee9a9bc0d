"""What the API must be told before it starts."""

import os
import re
import secrets
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Final, Literal, NamedTuple, TypeVar

from pydantic import AfterValidator, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from functions import schedules
from shared_code.database.tables.workflows import Workflow
from shared_code.errors import SettingsError
from shared_code.settings import HOME, DatabaseSettings, JobSettings, read

MIN_SECRET_BYTES: Final = 32
_STRIPE_KEY: Final = re.compile(r"[sr]k_(test|live)_[\x21-\x7e]+")
_WEBHOOK_SECRET: Final = re.compile(r"whsec_[\x21-\x7e]{16,}")
_ORIGIN: Final = re.compile(r"https?://([a-z0-9.-]+|\[[0-9a-f:]+\])(:[0-9]+)?")
SettingsT = TypeVar("SettingsT", bound=BaseSettings)


def _long_secret(value: SecretStr | None) -> SecretStr | None:
    if value is not None and len(value.get_secret_value().encode()) < MIN_SECRET_BYTES:
        raise ValueError(f"must have at least {MIN_SECRET_BYTES} bytes")
    return value


def _schedule(value: str) -> str:
    schedules.trigger(value)
    return value


class AccessSettings(BaseSettings):
    """Who may sign in how; each field is the environment variable of its name."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    altaviz_environment: Literal["development", "staging", "production"] = "development"
    altaviz_public_url: str = "http://127.0.0.1:7071"
    session_secret: SecretStr | None = None
    entra_client_id: str | None = None
    entra_client_secret: SecretStr | None = None
    entra_authority: str = "https://login.microsoftonline.com/organizations"
    dev_credentials_enabled: bool = False
    dev_credentials_allow_list: Annotated[frozenset[str], NoDecode] = frozenset()

    @field_validator("dev_credentials_allow_list", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return [email.strip().lower() for email in value.split(",")] if isinstance(value, str) else value

    @field_validator("altaviz_public_url")
    @classmethod
    def _only_an_origin(cls, value: str) -> str:
        if not _ORIGIN.fullmatch(value):
            raise ValueError("must be like https://altaviz.example, in small letters, without a path")
        return value

    @field_validator("entra_authority")
    @classmethod
    def _encrypted(cls, value: str) -> str:
        if not value.startswith("https://"):
            raise ValueError("must be an https:// address")
        return value.rstrip("/")

    @field_validator("session_secret")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        return _long_secret(value)


class MailSettings(BaseSettings):
    """How e-mail is sent: by a mail server, by Azure Communication Services, or not at all.

    Without either, whoever would have been written to is told by the inviter.
    """

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    smtp_host: str | None = None
    smtp_port: int = 587
    smtp_user: str | None = None
    smtp_password: SecretStr | None = None
    smtp_from: str | None = None
    smtp_starttls: bool = True
    acs_endpoint: str | None = None
    acs_connection_string: SecretStr | None = None
    acs_sender: str | None = None

    @property
    def by_azure(self) -> bool:
        """Whether Azure Communication Services sends it."""
        return self.acs_endpoint is not None or self.acs_connection_string is not None

    @property
    def sends(self) -> bool:
        """Whether any can be sent."""
        return self.by_azure or self.smtp_host is not None


class EdgeSettings(BaseSettings):
    """How much each may ask, and which other sites' pages may."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    altaviz_requests_per_minute: int = Field(default=60, ge=1, le=1_000_000)
    """Of one client address, whoever is behind it."""
    altaviz_requests_counted_in: Literal["memory", "sql"] | None = None
    """None: in memory with the embedded database, which one program uses, and in SQL otherwise."""
    cors_allowed_origins: Annotated[tuple[str, ...], NoDecode] = ()

    @field_validator("cors_allowed_origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(origin.strip() for origin in value.split(",")) if isinstance(value, str) else value

    @field_validator("cors_allowed_origins")
    @classmethod
    def _exact(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(_ORIGIN.fullmatch(origin) for origin in value):
            raise ValueError("must be origins such as https://web.example, with commas between them; never *")
        return value


_ABFSS: Final = re.compile(
    r"abfss://(?P<container>[a-z0-9-]{3,63})@(?P<account>[a-z0-9]{3,24})\.dfs\.(?P<suffix>[a-z0-9.]+)(?:/(?P<folder>[\w/-]*))?"
)


class PlaceInAzure(NamedTuple):
    """A container of a storage account, and a folder in it: empty, or with a slash at its end."""

    account_url: str
    container: str
    folder: str


def _folder_or_abfss(value: str) -> str:
    if "://" in value and not _ABFSS.fullmatch(value):
        raise ValueError("must be a folder, or like abfss://container@account.dfs.core.windows.net/folder")
    return value


FolderOrAbfss = Annotated[str, AfterValidator(_folder_or_abfss)]


class LakeSettings(BaseSettings):
    """Where the job keeps its lake, of which the API reads Silver."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    altaviz_lake: FolderOrAbfss = str(HOME / "demo" / "lake")

    @property
    def in_azure(self) -> bool:
        """Whether it is at an abfss:// address, and no folder of this machine."""
        return _ABFSS.fullmatch(self.altaviz_lake) is not None


class LandingSettings(BaseSettings):
    """Where readings that arrive by request are put for the Spark job."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    altaviz_landing: FolderOrAbfss = str(HOME / "demo" / "landing")
    altaviz_landing_connection_string: SecretStr | None = None

    @property
    def in_azure(self) -> PlaceInAzure | None:
        """The container of an abfss:// address, as the blob service knows it; None for a folder of this machine."""
        found = _ABFSS.fullmatch(self.altaviz_landing)
        if found is None:
            return None
        folder = (found["folder"] or "").strip("/")
        account_url = f"https://{found['account']}.blob.{found['suffix']}"
        return PlaceInAzure(account_url, found["container"], f"{folder}/" if folder else "")


class CacheSettings(BaseSettings):
    """Where answers are kept for whoever asks the same again; without Redis, in each process by itself."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    redis_url: SecretStr | None = None

    @field_validator("redis_url")
    @classmethod
    def _of_redis(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("must be a redis:// or rediss:// address")
        return value


Schedule = Annotated[str, AfterValidator(_schedule)]


class WorkflowSettings(BaseSettings):
    """When workflows run, after how long they act unless an organization wants it otherwise, and who starts them all.

    Why each runs when it does is told in `functions.workflows.timers`.
    """

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    workflow_escalation_hours: int = Field(default=4, ge=1, le=720)
    workflow_staleness_hours: int = Field(default=3, ge=1, le=720)
    workflow_cleanup_days: int = Field(default=7, ge=1, le=365)
    workflow_auto_resolve_schedule: Schedule = "0 2-59/15 * * * *"
    workflow_freshness_schedule: Schedule = "0 5-59/15 * * * *"
    workflow_escalation_schedule: Schedule = "0 8-59/15 * * * *"
    workflow_cleanup_schedule: Schedule = "0 30 6 * * *"
    workflow_retention_schedule: Schedule = "0 0 8 * * *"
    workflows_api_key: SecretStr | None = None

    def schedule(self, workflow: Workflow) -> str:
        """Return when a workflow runs, as NCRONTAB in UTC."""
        return {
            Workflow.ALERT_AUTO_RESOLVE: self.workflow_auto_resolve_schedule,
            Workflow.DATA_FRESHNESS_CHECK: self.workflow_freshness_schedule,
            Workflow.ALERT_ESCALATION: self.workflow_escalation_schedule,
            Workflow.STALE_ALERT_CLEANUP: self.workflow_cleanup_schedule,
            Workflow.DATA_RETENTION: self.workflow_retention_schedule,
        }[workflow]

    @field_validator("workflows_api_key")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        return _long_secret(value)


class NotificationSettings(BaseSettings):
    """When people are told of alerts, and where webhooks may lead to besides the public internet."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    notifications_schedule: Schedule = "0 * * * * *"
    notifications_private_networks: Annotated[tuple[str, ...], NoDecode] = ()

    @field_validator("notifications_private_networks", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(network.strip() for network in value.split(",")) if isinstance(value, str) else value

    @field_validator("notifications_private_networks")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            try:
                ip_network(network)
            except ValueError:
                raise ValueError("must be networks such as 127.0.0.0/8, with commas between them") from None
        return value


class BillingSettings(BaseSettings):
    """How Stripe is reached and believed; without a key nothing is sold, and everything else works.

    What Stripe's prices are for is in `config/plans.yaml`.
    """

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    stripe_api_key: SecretStr | None = None
    stripe_webhook_secret: SecretStr | None = None
    stripe_webhook_secret_previous: SecretStr | None = None
    """Good beside the other while the endpoint's secret is rotated."""
    stripe_api_base: str | None = None
    """Another address than Stripe's own, of a stand-in."""
    stripe_trial_days: int = Field(default=0, ge=0, le=730)
    """How long the first subscription of an organization costs nothing."""
    stripe_promotion_codes: bool = False
    billing_events_schedule: Schedule = "*/5 * * * * *"
    billing_reconcile_schedule: Schedule = "0 20 * * * *"

    @property
    def live(self) -> bool:
        """Whether the key moves real money."""
        key = self.stripe_api_key.get_secret_value() if self.stripe_api_key else ""
        return key.startswith(("sk_live_", "rk_live_"))

    @field_validator("stripe_api_key")
    @classmethod
    def _says_its_mode(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not _STRIPE_KEY.fullmatch(value.get_secret_value()):
            raise ValueError("must begin with sk_test_, rk_test_, sk_live_ or rk_live_")
        return value

    @field_validator("stripe_webhook_secret", "stripe_webhook_secret_previous")
    @classmethod
    def _of_an_endpoint(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not _WEBHOOK_SECRET.fullmatch(value.get_secret_value()):
            raise ValueError("must begin with whsec_")
        return value


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the API is told, checked."""

    access: AccessSettings
    database: DatabaseSettings
    session_key: str = field(repr=False)
    mail: MailSettings = field(default_factory=MailSettings)
    landing: LandingSettings = field(default_factory=LandingSettings)
    lake: LakeSettings = field(default_factory=LakeSettings)
    job: JobSettings = field(default_factory=JobSettings)
    edge: EdgeSettings = field(default_factory=EdgeSettings)
    cache: CacheSettings = field(default_factory=CacheSettings)
    workflows: WorkflowSettings = field(default_factory=WorkflowSettings)
    notifications: NotificationSettings = field(default_factory=NotificationSettings)
    billing: BillingSettings = field(default_factory=BillingSettings)


def read_settings(*, home: Path = HOME, **defaults: object) -> Settings:
    """Read the environment; `defaults` stand in for access settings that it does not have.

    Raises:
        SettingsError: names every setting to mend at once.
    """
    complaints: list[str] = []
    absent = {name: value for name, value in defaults.items() if not os.environ.get(name.upper())}
    access = _attempt(AccessSettings, complaints, **absent)
    database = _attempt(DatabaseSettings, complaints)
    mail = _attempt(MailSettings, complaints)
    landing = _attempt(LandingSettings, complaints)
    lake = _attempt(LakeSettings, complaints)
    job = _attempt(JobSettings, complaints)
    edge = _attempt(EdgeSettings, complaints)
    cache = _attempt(CacheSettings, complaints)
    workflows = _attempt(WorkflowSettings, complaints)
    notifications = _attempt(NotificationSettings, complaints)
    billing = _attempt(BillingSettings, complaints)
    if access is not None and database is not None:
        complaints += _contradictions(access, database)
    if access is not None and mail is not None:
        complaints += _mail_contradictions(access, mail)
    if access is not None and landing is not None and lake is not None:
        complaints += _place_contradictions(access, landing, lake)
    if access is not None and cache is not None:
        complaints += _cache_contradictions(access, cache)
    if access is not None and notifications is not None:
        complaints += _notification_contradictions(access, notifications)
    if access is not None and billing is not None:
        complaints += _billing_contradictions(access, billing)
    if complaints or not (
        access
        and database
        and mail
        and landing
        and lake
        and job
        and edge
        and cache
        and workflows
        and notifications
        and billing
    ):
        raise SettingsError("; ".join(complaints))
    key = _session_key(access, home)
    return Settings(access, database, key, mail, landing, lake, job, edge, cache, workflows, notifications, billing)


def _attempt(kind: type[SettingsT], complaints: list[str], **overrides: object) -> SettingsT | None:
    try:
        return read(kind, **overrides)
    except SettingsError as wrong:
        complaints.append(str(wrong))
        return None


def _contradictions(access: AccessSettings, database: DatabaseSettings) -> list[str]:
    found: list[str] = []
    environment = access.altaviz_environment
    if (access.entra_client_id is None) != (access.entra_client_secret is None):
        found.append("ENTRA_CLIENT_ID and ENTRA_CLIENT_SECRET must be set together")
    if environment != "development":
        if access.dev_credentials_enabled:
            found.append(f"DEV_CREDENTIALS_ENABLED must not be true where ALTAVIZ_ENVIRONMENT is {environment}")
        if not access.altaviz_public_url.startswith("https://"):
            found.append(f"ALTAVIZ_PUBLIC_URL must be an https:// address where ALTAVIZ_ENVIRONMENT is {environment}")
        if database.embedded:
            found.append(f"DB_HOST must be set where ALTAVIZ_ENVIRONMENT is {environment}")
    if access.session_secret is None and (environment != "development" or not database.embedded):
        found.append(f"SESSION_SECRET must be set, to at least {MIN_SECRET_BYTES} random bytes")
    return found


def _mail_contradictions(access: AccessSettings, mail: MailSettings) -> list[str]:
    found: list[str] = []
    if mail.by_azure and mail.smtp_host is not None:
        found.append("SMTP_HOST and ACS_ENDPOINT or ACS_CONNECTION_STRING must not be set together")
    if mail.acs_endpoint is not None and mail.acs_connection_string is not None:
        found.append("ACS_ENDPOINT and ACS_CONNECTION_STRING must not be set together")
    if mail.by_azure and mail.acs_sender is None:
        found.append("ACS_SENDER must be set where ACS_ENDPOINT or ACS_CONNECTION_STRING is")
    if mail.smtp_host is not None and mail.smtp_from is None:
        found.append("SMTP_FROM must be set where SMTP_HOST is")
    if mail.smtp_host is not None and not mail.smtp_starttls and access.altaviz_environment != "development":
        found.append(f"SMTP_STARTTLS must not be false where ALTAVIZ_ENVIRONMENT is {access.altaviz_environment}")
    return found


def _place_contradictions(access: AccessSettings, landing: LandingSettings, lake: LakeSettings) -> list[str]:
    environment = access.altaviz_environment
    if environment == "development":
        return []
    in_azure = {"ALTAVIZ_LANDING": landing.in_azure is not None, "ALTAVIZ_LAKE": lake.in_azure}
    return [
        f"{name} must be an abfss:// address where ALTAVIZ_ENVIRONMENT is {environment}"
        for name, there in in_azure.items()
        if not there
    ]


def _cache_contradictions(access: AccessSettings, cache: CacheSettings) -> list[str]:
    environment = access.altaviz_environment
    in_the_clear = cache.redis_url is not None and cache.redis_url.get_secret_value().startswith("redis://")
    if environment == "development" or not in_the_clear:
        return []
    return [f"REDIS_URL must be a rediss:// address where ALTAVIZ_ENVIRONMENT is {environment}"]


def _notification_contradictions(access: AccessSettings, notifications: NotificationSettings) -> list[str]:
    environment = access.altaviz_environment
    if environment == "development" or not notifications.notifications_private_networks:
        return []
    return [f"NOTIFICATIONS_PRIVATE_NETWORKS must not be set where ALTAVIZ_ENVIRONMENT is {environment}"]


def _billing_contradictions(access: AccessSettings, billing: BillingSettings) -> list[str]:
    found: list[str] = []
    environment = access.altaviz_environment
    if billing.stripe_api_key is not None and billing.stripe_webhook_secret is None:
        found.append("STRIPE_WEBHOOK_SECRET must be set where STRIPE_API_KEY is")
    if billing.stripe_webhook_secret_previous is not None and billing.stripe_webhook_secret is None:
        found.append("STRIPE_WEBHOOK_SECRET must be set where STRIPE_WEBHOOK_SECRET_PREVIOUS is")
    if billing.stripe_api_base is not None and environment != "development":
        found.append(f"STRIPE_API_BASE must not be set where ALTAVIZ_ENVIRONMENT is {environment}")
    if billing.live and environment == "development":
        found.append("STRIPE_API_KEY must not be a live one where ALTAVIZ_ENVIRONMENT is development")
    return found


def _session_key(access: AccessSettings, home: Path) -> str:
    if access.session_secret is not None:
        return access.session_secret.get_secret_value()
    return _home_secret(home / "session_secret")


def _home_secret(path: Path) -> str:
    """Return the laptop's own secret, made once; of two programs that make it together, one wins."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        descriptor, made = tempfile.mkstemp(dir=path.parent, prefix=".session_secret.")  # mode 0600
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(48))
        with suppress(FileExistsError):
            path.hardlink_to(made)
        Path(made).unlink()
    return path.read_text(encoding="ascii")
