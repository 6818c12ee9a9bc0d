"""What went wrong with a machine, and what people did about it."""

from sqlalchemy import Boolean, Column, ForeignKeyConstraint, Index, String, Table, Unicode, UnicodeText, Uuid, text

from shared_code.alarms import AlertType, Severity
from shared_code.database.tables.metadata import DOUBLE, INSTANT, metadata, one_of, organization_id

ONE_OPEN = "uq_alert_history_open"


alert_history = Table(
    "alert_history",
    metadata,
    organization_id(),
    Column("alert_id", Uuid(), primary_key=True),
    Column("compressor_id", String(50), nullable=False),
    Column("rule", String(50), nullable=False),  # by its name in config/thresholds.yaml
    Column("onset_at", INSTANT, nullable=False),  # when it began; the alert was raised when it had lasted long enough
    Column("alert_timestamp", INSTANT, nullable=False),
    Column("group_at", INSTANT, nullable=False),  # when the first was raised of those that came together
    Column("alert_type", String(30), nullable=False),
    Column("severity", String(20), nullable=False),
    Column("critical_at", INSTANT),
    Column("sensor_name", String(50)),
    Column("sensor_value", DOUBLE),  # the latest while it lasted
    Column("latest_at", INSTANT, nullable=False),
    Column("peak_value", DOUBLE),
    Column("peak_at", INSTANT),
    Column("threshold_value", DOUBLE),
    Column("message", UnicodeText, nullable=False),
    Column("cleared_at", INSTANT),  # when the rule found that it is over
    Column("latched", Boolean, nullable=False),  # it stands until somebody acknowledges it, over or not
    Column("suppressed_by", String(50)),  # why nobody needs to be told: another rule, or how many there are already
    Column("withdrawn_at", INSTANT),  # later data showed that it never was
    Column("escalated_at", INSTANT),  # a warning that nobody acknowledged in time became critical
    Column("acknowledged", Boolean, nullable=False),
    Column("acknowledged_by", Unicode(320)),
    Column("acknowledged_at", INSTANT),
    Column("acknowledged_note", UnicodeText),
    Column("resolved", Boolean, nullable=False),
    Column("resolved_by", Unicode(320)),  # NULL: the readings were healthy again
    Column("resolved_at", INSTANT),
    Column("resolved_note", UnicodeText),
    Column("shelved_until", INSTANT),
    Column("shelved_by", Unicode(320)),
    Column("shelved_reason", UnicodeText),
    ForeignKeyConstraint(
        ["organization_id", "compressor_id"],
        ["compressor_metadata.organization_id", "compressor_metadata.compressor_id"],
    ),
    one_of("alert_type", AlertType),
    one_of("severity", Severity),
    Index(None, "organization_id", "compressor_id", "alert_timestamp"),
    Index(None, "organization_id", "resolved", "alert_timestamp"),
    Index(None, "organization_id", "alert_timestamp"),
    Index(  # one alarm a problem
        ONE_OPEN,
        "organization_id",
        "compressor_id",
        "rule",
        unique=True,
        postgresql_where=text("NOT resolved"),
        mssql_where=text("resolved = 0"),
    ),
    Index(None, "organization_id", "compressor_id", "rule", "onset_at"),
    postgresql_with={"fillfactor": 75},  # room for what workflows change of many at once
)
"""The job may change what a rule says of an alert, and that it is resolved; it has no right to what people say of it,
nor to an alert that somebody has resolved, nor to delete one."""

OF_THE_RULE = (
    "organization_id",
    "compressor_id",
    "rule",
    "onset_at",
    "alert_timestamp",
    "group_at",
    "alert_type",
    "severity",
    "critical_at",
    "sensor_name",
    "sensor_value",
    "latest_at",
    "peak_value",
    "peak_at",
    "threshold_value",
    "message",
    "cleared_at",
    "latched",
    "suppressed_by",
)
"""What a rule says of an alert; the rest is what people and workflows say."""

alert_rule_settings = Table(
    "alert_rule_settings",
    metadata,
    organization_id(),
    Column("rule", String(50), primary_key=True),
    Column("warning_limit", DOUBLE),  # NULL: as for everybody, here and below
    Column("critical_limit", DOUBLE),
    Column("deadband", DOUBLE),
    Column("on_delay_minutes", DOUBLE),
    Column("off_delay_minutes", DOUBLE),
    Column("latch", Boolean),
    Column("enabled", Boolean),
    Column("updated_at", INSTANT, nullable=False),
    Column("updated_by", Unicode(320), nullable=False),
)
"""What an organization wants of rules otherwise than `config/thresholds.yaml` says. The job reads it, and no more."""

staging_alert_history = Table(
    "staging_alert_history",
    metadata,
    Column("batch_id", String(100), nullable=False),
    *(Column(name, alert_history.c[name].type) for name in OF_THE_RULE),
    Column("alert_id", Uuid()),  # which alert it is, once that is known
    Index(None, "batch_id"),
    prefixes=["UNLOGGED"],
)
"""Where what the rules found waits to be merged. A row without a rule says that a machine was judged anew from
`onset_at` on, and last heard at `latest_at`: what alerts tell of the time after, and no row does, has turned out never
to have been."""
