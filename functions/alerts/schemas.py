"""Shapes of alerts."""

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field
from pydantic.config import JsonDict

from functions.alerts.status import Status, status_of
from functions.bodies import Body, Remark
from functions.compressors.health import quantities
from functions.pagination import Page, Position
from functions.readings.schemas import Instant
from functions.selection import Sparse
from functions.stations.schemas import Identifier
from shared_code.alarms import AlertType, Severity
from shared_code.database.tables.access import ActorKind
from shared_code.thresholds import Priority, RuleChanges, Side, thresholds


class AlertNote(Body):
    """What somebody has to say about it."""

    note: Annotated[Remark | None, Field(examples=["Bearing looked at; spare part ordered."])] = None


class Shelf(Body):
    """How long an alert is kept from the list, and why."""

    until: Annotated[Instant, Field(description="Later than now, and at most 30 days ahead.")]
    reason: Annotated[Remark, Field(examples=["Spare part comes on Monday."])]


class Comment(Body):
    """What somebody has to say about it."""

    text: Annotated[Remark, Field(examples=["Looks like the coupling again."])]


class Alert(Sparse):
    """Something that went wrong with a machine, and what was done about it.

    `unit` is that of `sensor_value`, `peak_value` and `threshold_value`. `priority`, `consequence` and `action` are
    those of the rule, null where it is none of `config/thresholds.yaml`. Who resolved it is null where the readings
    were healthy again. Who is told nothing new by it is told why by `suppressed_by`; `withdrawn_at` is when later data
    showed that it never was.
    """

    alert_id: UUID
    compressor_id: str
    rule: str
    onset_at: AwareDatetime
    alert_timestamp: AwareDatetime
    group_at: AwareDatetime
    alert_type: AlertType
    severity: Severity
    critical_at: AwareDatetime | None
    escalated_at: AwareDatetime | None
    priority: Priority | None
    consequence: str | None
    action: str | None
    sensor_name: str | None
    sensor_value: float | None
    latest_at: AwareDatetime
    peak_value: float | None
    peak_at: AwareDatetime | None
    threshold_value: float | None
    unit: Annotated[str | None, Field(examples=["mm/s RMS"])]
    message: str
    cleared_at: AwareDatetime | None
    latched: bool
    suppressed_by: str | None
    withdrawn_at: AwareDatetime | None
    status: Status
    shelved_until: AwareDatetime | None
    shelved_by: str | None
    shelved_reason: str | None
    acknowledged_by: str | None
    acknowledged_at: AwareDatetime | None
    acknowledged_note: str | None
    resolved_by: str | None
    resolved_at: AwareDatetime | None
    resolved_note: str | None


class AlertsOfDay(BaseModel):
    """How many alerts were raised on a UTC day: annunciated, by severity; suppressed; and withdrawn."""

    day: date
    warning: int
    critical: int
    suppressed: int
    withdrawn: int


class PriorityShare(BaseModel):
    """How many alerts had a priority; null is of those that come from no rule of `config/thresholds.yaml`."""

    priority: Priority | None
    raised: int
    share: float


class Flood(BaseModel):
    """A time with more alerts than a person can follow; `peak` is the most that ten minutes had."""

    start: AwareDatetime
    end: AwareDatetime
    peak: int


class Floods(BaseModel):
    """Floods begin with 10 alerts in 10 minutes and end when 10 minutes have fewer than 5."""

    count: int
    share_of_time: float
    gravest: Annotated[list[Flood], Field(description="Up to 50.")]


class RepeatingRule(BaseModel):
    """A machine's rule that was raised three times within a day, at its quickest within `shortest_minutes`."""

    compressor_id: str
    rule: str
    raised: int
    shortest_minutes: float


class Repeating(BaseModel):
    """Rules of machines that were raised three times within a day; `chattering` of them within an hour."""

    count: int
    chattering: int
    quickest: Annotated[list[RepeatingRule], Field(description="Up to 50.")]


class FrequentRule(BaseModel):
    """How many alerts came of a machine's rule, and which part of all that is."""

    compressor_id: str
    rule: str
    raised: int
    share: float


class TopTen(BaseModel):
    """The ten rules of machines that most alerts came of, and which part of all they are together."""

    share: float
    items: list[FrequentRule]


class TimeUntil(BaseModel):
    """How long it took from the raising of alerts: of `count` alerts; with `never` of them it has not happened.

    Null where there is none to measure.
    """

    median_minutes: float | None
    p90_minutes: float | None
    count: int
    never: int


class StaleAlert(BaseModel):
    """An alert that has stood for more than a day."""

    alert_id: UUID
    compressor_id: str
    rule: str
    alert_timestamp: AwareDatetime


class Stale(BaseModel):
    """Alerts that stand now, neither shelved nor suppressed, and were raised more than 24 hours ago."""

    count: int
    oldest: Annotated[list[StaleAlert], Field(description="Up to 50.")]


class PerformanceTargets(BaseModel):
    """What ISA-18.2 and EEMUA 191 call very likely acceptable, for the alerts that one operator answers."""

    per_day: float
    per_hour: float
    flood_share: float
    chattering: int
    stale: int
    top_ten_share: float
    low: float
    medium: float
    high: float


class Performance(BaseModel):
    """How well alerts serve those who answer them.

    All figures are of annunciated alerts, which are neither suppressed nor withdrawn, unless they say otherwise; those
    of `stale` are of now, whatever the period. What Altaviz acknowledged by itself nobody has acknowledged.
    """

    start: AwareDatetime
    end: AwareDatetime
    annunciated: int
    suppressed: int
    withdrawn: int
    per_day: float
    per_hour: float
    days: list[AlertsOfDay]
    priorities: list[PriorityShare]
    floods: Floods
    repeating: Repeating
    top_ten: TopTen
    time_until_acknowledged: TimeUntil
    time_until_resolved: TimeUntil
    stale: Stale
    targets: PerformanceTargets


class AlertRule(BaseModel):
    """When an alert is raised and when it is over. Limits and deadband are in `unit`.

    It is raised when `channel` has been beyond the warning limit, on the `side` that is bad, for the on-delay; it is
    critical when it has been beyond the critical limit, if there is one, for as long; and it is over when the value has
    been back within the warning limit, by the deadband, for the off-delay. A latched one then stands until somebody
    acknowledges it. While an alert of a rule in `inhibited_by` is open on the same machine, it is suppressed.
    """

    rule: Annotated[str, Field(examples=["vibration_high"])]
    channel: Annotated[str, Field(examples=["vibration_mms"])]
    words: Annotated[str, Field(examples=["vibration"])]
    unit: Annotated[str, Field(examples=["mm/s RMS"])]
    side: Side
    warning_limit: Annotated[float, Field(examples=[6])]
    critical_limit: Annotated[float | None, Field(examples=[8])]
    deadband: Annotated[float, Field(examples=[0.5])]
    on_delay_minutes: Annotated[float, Field(examples=[20])]
    off_delay_minutes: Annotated[float, Field(examples=[60])]
    latch: bool
    enabled: bool
    priority: Priority
    consequence: str
    action: str
    inhibited_by: list[str]
    wanted: Annotated[RuleChanges, Field(description="What the organization wants; null is as for everybody.")]


class AlertRules(Page[AlertRule]):
    """The rules, and what holds for all of them."""

    normal_readings: Annotated[int, Field(description="How many healthy readings it takes to end an alert.")]
    gap_minutes: Annotated[float, Field(description="After so long without a value a delay begins anew.")]
    group_minutes: Annotated[float, Field(description="Alerts of a machine raised so close together share `group_at`.")]
    most_open: Annotated[int, Field(description="So many as urgent may be open before a warning is suppressed.")]


def _names_of_rules(schema: JsonDict) -> None:
    schema["enum"] = [*thresholds().alarms.rules]


class BacktestRequest(Body):
    """A rule, what would be different, and the readings to run it over: the last 30 days of data unless said."""

    rule: Annotated[str, Field(json_schema_extra=_names_of_rules)]
    changes: RuleChanges
    start: Annotated[
        Instant | None, Field(description="Readings of this or later.", examples=["2026-01-01T00:00:00Z"])
    ] = None
    end: Annotated[
        Instant | None,
        Field(description="Readings before this; at most 90 days after `start`.", examples=["2026-01-31T00:00:00Z"]),
    ] = None
    compressor_ids: Annotated[
        list[Identifier] | None,
        Field(min_length=1, max_length=1000, description="Only these machines; all unless said.", examples=[None]),
    ] = None


class BacktestedAlert(BaseModel):
    """An alert that the rule would have raised; null in `cleared_at` is not over by the end of the period."""

    compressor_id: str
    onset_at: AwareDatetime
    alert_timestamp: AwareDatetime
    severity: Severity
    critical_at: AwareDatetime | None
    peak_value: float
    peak_at: AwareDatetime
    latest_at: AwareDatetime
    cleared_at: AwareDatetime | None
    suppressed_by: str | None


class BacktestedRule(BaseModel):
    """What a rule would have raised: `alerts` that somebody is told of, `critical` ones among them, and `suppressed`.

    A month has 30 days; null without a machine.
    """

    rule: AlertRule
    alerts: int
    critical: int
    suppressed: int
    alerts_per_machine_month: float | None
    episodes: Annotated[list[BacktestedAlert], Field(description="The newest first, up to 200.")]


class BacktestedFailure(BaseModel):
    """A recorded failure, and how long before it the rule's first alert of the last 14 days; null is no alert."""

    compressor_id: str
    event_date: AwareDatetime
    hours_of_warning: float | None
    hours_of_warning_if_changed: float | None


class Backtested(BaseModel):
    """What a rule raises over readings of the past, as it is and as it would be.

    `gained` are alerts that only the changed rule raises, `lost` those that only the unchanged one does: of no common
    time with one of the same machine on the other side.
    """

    start: AwareDatetime
    end: AwareDatetime
    readings: int
    machines: int
    as_it_is: BacktestedRule
    as_it_would_be: BacktestedRule
    gained: Annotated[list[BacktestedAlert], Field(description="Up to 200.")]
    lost: Annotated[list[BacktestedAlert], Field(description="Up to 200.")]
    failures: Annotated[list[BacktestedFailure], Field(description="Up to 200.")]


class AlertPosition(Position):
    """Alerts are listed by time, the newest first."""

    alert_timestamp: AwareDatetime
    alert_id: UUID


class AlertEntry(BaseModel):
    """Something that was done about an alert: by a person, or by a workflow."""

    id: UUID
    occurred_at: AwareDatetime
    action: Annotated[str, Field(examples=["alert.acknowledged"])]
    actor_kind: ActorKind
    actor_name: str
    details: dict[str, Any]


class EntryPosition(Position):
    """Entries are listed by time, the newest first."""

    occurred_at: AwareDatetime
    id: UUID


def alert_values(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Return what is shown of an alert, of its row."""
    units = {quantity.sensor: quantity.unit for quantity in quantities()}
    rule = thresholds().alarms.rules.get(row["rule"])
    return {
        **row,
        "alert_type": AlertType(row["alert_type"]),
        "severity": Severity(row["severity"]),
        "status": status_of(row),
        "unit": units.get(row["sensor_name"]),
        "priority": rule and rule.priority,
        "consequence": rule and rule.consequence,
        "action": rule and rule.action,
    }
