from pathlib import Path
from stat import S_IMODE

import pytest

from functions.settings import read_settings
from shared_code.database.tables.workflows import Workflow
from shared_code.errors import SettingsError

NAMES = (
    "ALTAVIZ_ENVIRONMENT",
    "ALTAVIZ_PUBLIC_URL",
    "SESSION_SECRET",
    "DEV_CREDENTIALS_ENABLED",
    "DEV_CREDENTIALS_ALLOW_LIST",
    "ALTAVIZ_LAKE",
    "ALTAVIZ_LANDING",
    "ALTAVIZ_REQUESTS_PER_MINUTE",
    "ALTAVIZ_REQUESTS_COUNTED_IN",
    "CORS_ALLOWED_ORIGINS",
    "ALTAVIZ_LANDING_CONNECTION_STRING",
    "DB_HOST",
    "DB_TYPE",
    "REDIS_URL",
    "ENTRA_CLIENT_ID",
    "ENTRA_CLIENT_SECRET",
    "ENTRA_AUTHORITY",
    "ACS_ENDPOINT",
    "ACS_CONNECTION_STRING",
    "ACS_SENDER",
    "SMTP_HOST",
    "SMTP_FROM",
    "SMTP_STARTTLS",
    "SMTP_PASSWORD",
    "WORKFLOW_ESCALATION_HOURS",
    "WORKFLOW_ESCALATION_SCHEDULE",
    "WORKFLOWS_API_KEY",
    "NOTIFICATIONS_SCHEDULE",
    "NOTIFICATIONS_PRIVATE_NETWORKS",
    "STRIPE_API_KEY",
    "STRIPE_WEBHOOK_SECRET",
    "STRIPE_WEBHOOK_SECRET_PREVIOUS",
    "STRIPE_API_BASE",
    "STRIPE_TRIAL_DAYS",
    "BILLING_EVENTS_SCHEDULE",
)


@pytest.fixture(autouse=True)
def nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


def test_at_home_a_secret_is_made_once_and_kept_private(tmp_path: Path) -> None:
    home = tmp_path / "home"

    first, second = read_settings(home=home), read_settings(home=home)

    assert first.session_key == second.session_key
    assert len(first.session_key) >= 32
    assert [path.name for path in home.iterdir()] == ["session_secret"]
    assert S_IMODE((home / "session_secret").stat().st_mode) == 0o600
    assert read_settings(home=tmp_path / "elsewhere").session_key != first.session_key


def test_at_home_nobody_signs_in_by_email_unless_told(tmp_path: Path) -> None:
    assert not read_settings(home=tmp_path).access.dev_credentials_enabled


def test_the_environment_goes_before_defaults(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    defaults = {"dev_credentials_enabled": True, "dev_credentials_allow_list": "a@x.example"}
    monkeypatch.setenv("DEV_CREDENTIALS_ALLOW_LIST", "B@x.example, c@x.example")

    access = read_settings(home=tmp_path, **defaults).access

    assert (access.dev_credentials_enabled, access.dev_credentials_allow_list) == (True, {"b@x.example", "c@x.example"})


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_development_credentials_are_refused_outside_development(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, environment: str
) -> None:
    monkeypatch.setenv("ALTAVIZ_ENVIRONMENT", environment)
    monkeypatch.setenv("ALTAVIZ_PUBLIC_URL", "https://altaviz.example")
    monkeypatch.setenv("DEV_CREDENTIALS_ENABLED", "true")
    monkeypatch.setenv("DB_HOST", "db.example")
    monkeypatch.setenv("SESSION_SECRET", "x" * 32)
    monkeypatch.setenv("ALTAVIZ_LAKE", "abfss://lake@account.dfs.core.windows.net")
    monkeypatch.setenv("ALTAVIZ_LANDING", "abfss://lake@account.dfs.core.windows.net/landing")

    with pytest.raises(SettingsError) as refused:
        read_settings(home=tmp_path)

    assert str(refused.value) == f"DEV_CREDENTIALS_ENABLED must not be true where ALTAVIZ_ENVIRONMENT is {environment}"


def test_all_that_is_missing_is_named_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ALTAVIZ_ENVIRONMENT", "production")
    monkeypatch.setenv("DEV_CREDENTIALS_ENABLED", "true")

    with pytest.raises(SettingsError) as refused:
        read_settings(home=tmp_path)

    names = ("DEV_CREDENTIALS_ENABLED", "ALTAVIZ_PUBLIC_URL", "DB_HOST", "SESSION_SECRET", "ALTAVIZ_LAKE")
    assert all(name in str(refused.value) for name in (*names, "ALTAVIZ_LANDING"))
    assert list(tmp_path.iterdir()) == []


def test_a_remote_database_wants_a_secret_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DB_HOST", "db.example")

    with pytest.raises(SettingsError, match="SESSION_SECRET must be set"):
        read_settings(home=tmp_path)


def test_what_is_wrong_is_named_and_not_said_back(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SESSION_SECRET", "canary")
    monkeypatch.setenv("ALTAVIZ_ENVIRONMENT", "canary")
    monkeypatch.setenv("DB_TYPE", "canary")

    with pytest.raises(SettingsError) as refused:
        read_settings(home=tmp_path)

    assert "canary" not in str(refused.value)
    assert all(name in str(refused.value) for name in ("session_secret", "altaviz_environment", "db_type"))


@pytest.mark.parametrize(
    "url", ["altaviz.example", "https://altaviz.example/", "https://altaviz.example/app", "ftp://x", "https://x?y", ""]
)
def test_a_public_url_is_an_origin(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, url: str) -> None:
    monkeypatch.setenv("ALTAVIZ_PUBLIC_URL", url)

    if url:
        with pytest.raises(SettingsError, match="altaviz_public_url"):
            read_settings(home=tmp_path)
    else:
        assert read_settings(home=tmp_path).access.altaviz_public_url == "http://127.0.0.1:7071"


def test_settings_show_no_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SESSION_SECRET", "canary" * 6)
    for name in ("DB_PASSWORD", "SMTP_PASSWORD", "ENTRA_CLIENT_SECRET", "ALTAVIZ_LANDING_CONNECTION_STRING"):
        monkeypatch.setenv(name, "canary")
    monkeypatch.setenv("WORKFLOWS_API_KEY", "canary" * 6)
    monkeypatch.setenv("ACS_CONNECTION_STRING", "canary")
    monkeypatch.setenv("ACS_SENDER", "a@b.example")
    monkeypatch.setenv("REDIS_URL", "rediss://:canary@cache.example")
    monkeypatch.setenv("ENTRA_CLIENT_ID", "altaviz")

    settings = read_settings(home=tmp_path)

    assert settings.session_key == "canary" * 6
    assert "canary" not in f"{settings!r} {settings}"


@pytest.mark.parametrize(
    ("environment", "complaint"),
    [
        ({"ENTRA_CLIENT_ID": "altaviz"}, "ENTRA_CLIENT_ID and ENTRA_CLIENT_SECRET must be set together"),
        ({"ENTRA_CLIENT_SECRET": "canary"}, "ENTRA_CLIENT_ID and ENTRA_CLIENT_SECRET must be set together"),
        ({"ENTRA_AUTHORITY": "http://login.example"}, "entra_authority: .*must be an https:// address"),
        (
            {"SMTP_HOST": "mail.example", "SMTP_FROM": "a@b.example", "ACS_ENDPOINT": "https://x.example"},
            "SMTP_HOST and ACS_ENDPOINT or ACS_CONNECTION_STRING must not be set together",
        ),
        (
            {"ACS_CONNECTION_STRING": "canary", "ACS_ENDPOINT": "https://x.example", "ACS_SENDER": "a@b.example"},
            "ACS_ENDPOINT and ACS_CONNECTION_STRING must not be set together",
        ),
        ({"ACS_ENDPOINT": "https://x.example"}, "ACS_SENDER must be set where"),
        ({"SMTP_HOST": "mail.example"}, "SMTP_FROM must be set where SMTP_HOST is"),
        (
            {"ALTAVIZ_ENVIRONMENT": "production", "SMTP_HOST": "mail.example", "SMTP_STARTTLS": "false"},
            "SMTP_STARTTLS must not be false where ALTAVIZ_ENVIRONMENT is production",
        ),
        ({"REDIS_URL": "https://:canary@cache.example"}, "redis_url: .*must be a redis:// or rediss:// address$"),
        (
            {"ALTAVIZ_ENVIRONMENT": "production", "REDIS_URL": "redis://:canary@cache.example"},
            "REDIS_URL must be a rediss:// address where ALTAVIZ_ENVIRONMENT is production$",
        ),
    ],
    ids=str,
)
def test_what_does_not_go_together_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, environment: dict[str, str], complaint: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(SettingsError, match=complaint):
        read_settings(home=tmp_path)


def test_by_default_an_address_has_sixty_requests_and_no_other_site_any(tmp_path: Path) -> None:
    edge = read_settings(home=tmp_path).edge

    assert (edge.altaviz_requests_per_minute, edge.altaviz_requests_counted_in) == (60, None)
    assert edge.cors_allowed_origins == ()


def test_allowed_origins_are_exact(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CORS_ALLOWED_ORIGINS", "https://web.example, http://127.0.0.1:3000")

    assert read_settings(home=tmp_path).edge.cors_allowed_origins == ("https://web.example", "http://127.0.0.1:3000")


def test_workflows_act_after_their_hours_and_take_no_key_unless_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    usual = read_settings(home=tmp_path).workflows
    monkeypatch.setenv("WORKFLOW_ESCALATION_HOURS", "2")
    monkeypatch.setenv("WORKFLOW_ESCALATION_SCHEDULE", "0 0 6 * * 1-5")
    told = read_settings(home=tmp_path).workflows

    assert (usual.workflow_escalation_hours, usual.workflow_staleness_hours, usual.workflow_cleanup_days) == (4, 3, 7)
    assert usual.workflows_api_key is None
    assert (told.workflow_escalation_hours, told.schedule(Workflow.ALERT_ESCALATION)) == (2, "0 0 6 * * 1-5")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WORKFLOW_ESCALATION_HOURS", "0"),
        ("WORKFLOW_ESCALATION_SCHEDULE", "*/15 * * * *"),
        ("WORKFLOW_ESCALATION_SCHEDULE", "0 0 25 * * *"),
        ("WORKFLOWS_API_KEY", "too short"),
        ("CORS_ALLOWED_ORIGINS", "*"),
        ("CORS_ALLOWED_ORIGINS", "https://web.example,*"),
        ("CORS_ALLOWED_ORIGINS", "https://*.example"),
        ("CORS_ALLOWED_ORIGINS", "https://web.example/"),
        ("CORS_ALLOWED_ORIGINS", "null"),
        ("CORS_ALLOWED_ORIGINS", "web.example"),
        ("CORS_ALLOWED_ORIGINS", "https://web.example,"),
        ("ALTAVIZ_REQUESTS_PER_MINUTE", "0"),
        ("ALTAVIZ_REQUESTS_PER_MINUTE", "-1"),
        ("ALTAVIZ_REQUESTS_PER_MINUTE", "many"),
        ("ALTAVIZ_REQUESTS_COUNTED_IN", "nowhere"),
        ("STRIPE_API_KEY", "pk_test_canary"),
        ("STRIPE_API_KEY", "sk_test_canary\n"),
        ("STRIPE_WEBHOOK_SECRET", "canary_of_sixteen_and_more"),
        ("STRIPE_WEBHOOK_SECRET_PREVIOUS", "whsec_canary"),
        ("STRIPE_TRIAL_DAYS", "-1"),
        ("BILLING_EVENTS_SCHEDULE", "*/5 * * * *"),
    ],
)
def test_a_wrong_limit_or_origin_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(SettingsError, match=name.lower()) as refused:
        read_settings(home=tmp_path)
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize(
    ("wanted", "complaint"),
    [
        ({"STRIPE_API_KEY": "sk_test_canary"}, "STRIPE_WEBHOOK_SECRET must be set where STRIPE_API_KEY is"),
        (
            {"STRIPE_WEBHOOK_SECRET_PREVIOUS": "whsec_canary_of_sixteen"},
            "STRIPE_WEBHOOK_SECRET must be set where STRIPE_WEBHOOK_SECRET_PREVIOUS is",
        ),
        (
            {"STRIPE_API_KEY": "rk_live_canary", "STRIPE_WEBHOOK_SECRET": "whsec_canary_of_sixteen"},
            "STRIPE_API_KEY must not be a live one where ALTAVIZ_ENVIRONMENT is development",
        ),
        (
            {"STRIPE_API_BASE": "https://canary.example", "ALTAVIZ_ENVIRONMENT": "production"},
            "STRIPE_API_BASE must not be set where ALTAVIZ_ENVIRONMENT is production",
        ),
    ],
)
def test_settings_of_stripe_that_do_not_go_together_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, wanted: dict[str, str], complaint: str
) -> None:
    for name, value in wanted.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(SettingsError, match=complaint) as refused:
        read_settings(home=tmp_path)
    assert "canary" not in str(refused.value)


def test_with_and_without_stripe_there_is_an_installation(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert read_settings(home=tmp_path).billing.stripe_api_key is None
    monkeypatch.setenv("STRIPE_API_KEY", "sk_test_canary")
    monkeypatch.setenv("STRIPE_WEBHOOK_SECRET", "whsec_canary_of_sixteen")

    told = read_settings(home=tmp_path)

    assert not told.billing.live
    assert "canary" not in repr(told)


@pytest.mark.parametrize("networks", ["127.0.0.0/8", "10.0.0.0/8, fd00::/8"])
def test_webhooks_lead_inside_at_home_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, networks: str) -> None:
    monkeypatch.setenv("NOTIFICATIONS_PRIVATE_NETWORKS", networks)
    assert len(read_settings(home=tmp_path).notifications.notifications_private_networks) == networks.count("/")

    monkeypatch.setenv("ALTAVIZ_ENVIRONMENT", "production")
    with pytest.raises(SettingsError, match="NOTIFICATIONS_PRIVATE_NETWORKS must not be set"):
        read_settings(home=tmp_path)


def test_a_network_is_a_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NOTIFICATIONS_PRIVATE_NETWORKS", "canary")
    with pytest.raises(SettingsError, match="notifications_private_networks") as refused:
        read_settings(home=tmp_path)
    assert "canary" not in str(refused.value)


def test_the_lake_is_a_folder_or_in_azure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert not read_settings(home=tmp_path).lake.in_azure
    monkeypatch.setenv("ALTAVIZ_LAKE", "abfss://lake@account.dfs.core.windows.net/lake")
    assert read_settings(home=tmp_path).lake.in_azure
    monkeypatch.setenv("ALTAVIZ_LAKE", "s3://canary/lake")

    with pytest.raises(SettingsError, match=r"altaviz_lake: .*must be a folder, or like abfss") as refused:
        read_settings(home=tmp_path)
    assert "canary" not in str(refused.value)
