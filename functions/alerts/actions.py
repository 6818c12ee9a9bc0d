"""What people do about alerts.

Each is done once: whoever repeats it, or comes second, finds the alert as the first left it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from functions.access import audit
from functions.access.audit import Origin
from functions.access.sessions import Session
from functions.alerts import performance, queries
from functions.alerts.queries import Raised
from functions.billing.plans import plans
from functions.readings.actions import require_length
from functions.readings.queries import list_machines
from functions.settings import LakeSettings
from shared_code.database.tables.organizations import Tier
from shared_code.database.transactions import Read, Write
from shared_code.errors import ConflictError, InvalidError, NotFoundError
from shared_code.identifiers import CompressorId, OrganizationId
from shared_code.thresholds import RuleChanges, Thresholds, thresholds

NO_ALERT: Final = "there is no such alert"
LONGEST_SHELF: Final = timedelta(days=30)
LONGEST_BACKTEST: Final = timedelta(days=90)
JUDGED_BEFORE: Final = timedelta(days=2)
"""How much before a period is judged with it: more than any delay, so that what was open then is known."""
MOST_READINGS: Final = 1_000_000
"""Of one back-test; each takes some 400 bytes."""
MOST_FAILURES: Final = 200


def get_alert(connection: Read | Write, organization_id: OrganizationId, *, alert_id: UUID) -> Mapping[Any, Any]:
    """Return an alert.

    Raises:
        NotFoundError: this organization has no such alert.
    """
    alert = queries.find_alert(connection, organization_id, alert_id)
    if alert is None:
        raise NotFoundError(NO_ALERT)
    return alert


def assess_alerts(
    connection: Read, organization_id: OrganizationId, *, raised: Raised, now: datetime
) -> Mapping[str, Any]:
    """Return the figures about the alerts of a period, and what stands too long now."""
    days = performance.by_day(raised, queries.count_by_day(connection, organization_id, raised))
    told = sum(day["warning"] + day["critical"] for day in days)
    hours = (raised.end - raised.start) / timedelta(hours=1)
    most = performance.MOST_LISTED
    return {
        "start": raised.start,
        "end": raised.end,
        "annunciated": told,
        "suppressed": sum(day["suppressed"] for day in days),
        "withdrawn": sum(day["withdrawn"] for day in days),
        "per_day": told * 24 / hours,
        "per_hour": told / hours,
        "days": days,
        "priorities": performance.by_priority(queries.count_by_rule(connection, organization_id, raised)),
        "floods": _floods(queries.list_floods(connection, organization_id, raised, limit=most), minutes=hours * 60),
        "repeating": _repeating(queries.list_repeating(connection, organization_id, raised, limit=most)),
        "top_ten": _top_ten(
            queries.list_most_frequent(connection, organization_id, raised, limit=performance.TOP), told
        ),
        **_times(queries.measure_times(connection, organization_id, raised)),
        "stale": _stale(
            queries.list_stale(
                connection,
                organization_id,
                raised_before=now - performance.STALE_AFTER,
                now=now,
                compressor_id=raised.compressor_id,
                limit=most,
            )
        ),
        "targets": asdict(performance.Targets()),
    }


def _floods(listed: Sequence[Mapping[Any, Any]], *, minutes: float) -> dict[str, Any]:
    lasted = listed[0]["minutes"] if listed else 0.0
    return {
        "count": listed[0]["floods"] if listed else 0,
        "share_of_time": performance.share(lasted, minutes),
        "gravest": [dict(each) for each in listed],
    }


def _repeating(listed: Sequence[Mapping[Any, Any]]) -> dict[str, Any]:
    return {
        "count": listed[0]["repeating"] if listed else 0,
        "chattering": listed[0]["chattering"] if listed else 0,
        "quickest": [dict(each) for each in listed],
    }


def _top_ten(listed: Sequence[Mapping[Any, Any]], of_all: int) -> dict[str, Any]:
    items = [{**each, "share": performance.share(each["raised"], of_all)} for each in listed]
    return {"share": performance.share(sum(each["raised"] for each in listed), of_all), "items": items}


def _times(measured: Mapping[Any, Any]) -> dict[str, Any]:
    return {
        f"time_until_{name}": {
            "median_minutes": measured[f"{name}_median"],
            "p90_minutes": measured[f"{name}_p90"],
            "count": measured[name],
            "never": measured[f"not_{name}"],
        }
        for name in ("acknowledged", "resolved")
    }


def _stale(listed: Sequence[Mapping[Any, Any]]) -> dict[str, Any]:
    return {"count": listed[0]["stale"] if listed else 0, "oldest": [dict(each) for each in listed]}


def describe_rules() -> Mapping[str, Any]:
    """Return the rules by which alerts are raised, and what holds for all of them."""
    alarms = thresholds().alarms
    return {
        "items": [_described(thresholds(), name) for name in alarms.rules],
        "next": None,
        "normal_readings": alarms.normal_readings,
        "gap_minutes": alarms.gap_minutes,
        "group_minutes": alarms.group_minutes,
        "most_open": alarms.most_open,
    }


def _described(limits: Thresholds, name: str) -> dict[str, Any]:
    rule = limits.alarms.rules[name]
    warning, critical = limits.limits_of(rule)
    own = {"rule": name, "unit": limits.unit_of(rule), "warning_limit": warning, "critical_limit": critical}
    return {**rule.model_dump(), **own}


@dataclass(frozen=True, slots=True)
class Backtest:
    """Which changed rule to run over which readings; None is of all machines, and the last 30 days of data."""

    rule: str
    changes: RuleChanges
    start: datetime | None
    end: datetime | None
    compressor_ids: frozenset[CompressorId] | None


def backtest_rule(
    connection: Read,
    organization_id: OrganizationId,
    *,
    asked: Backtest,
    lake: LakeSettings,
    tier: Tier,
    now: datetime,
) -> Mapping[str, Any]:
    """Return what a rule would have raised, changed and unchanged, over readings of the past. Nothing is kept of it.

    Raises:
        ConflictError: there are no readings.
        InvalidError: the change makes no rule, the organization has no such machine, or there is too much to judge.
        UnavailableError: the lake cannot be read now.
    """
    limits = thresholds()
    changed = _changed(limits, asked)
    if asked.compressor_ids is not None:
        machines = list_machines(connection, organization_id)
        if not asked.compressor_ids <= machines.in_use | machines.retired:
            raise InvalidError("names a machine that there is not", field="compressor_ids")
    last = queries.find_last_contact(connection, organization_id, asked.compressor_ids)
    if last is None:
        raise ConflictError("there are no readings to judge yet")
    start, end = _backtested(asked, last, tier, now)
    from functions.alerts import backtest, silver  # noqa: PLC0415 - they take time that other requests need not spend

    history = silver.read_usable(
        organization_id,
        lake,
        compressor_ids=asked.compressor_ids,
        start=start - JUDGED_BEFORE,
        end=end,
        at_most=MOST_READINGS,
    )
    failures = [
        backtest.Failure(CompressorId(row["compressor_id"]), row["event_date"])
        for row in queries.list_failures(
            connection, organization_id, asked.compressor_ids, start=start, end=end, limit=MOST_FAILURES
        )
    ]
    compared = backtest.compare(history, asked.rule, limits, changed, start=start, end=end, failures=failures)
    for name, used in (("as_it_is", limits), ("as_it_would_be", changed)):
        compared[name] |= {"rule": _described(used, asked.rule)}
    return {"start": start, "end": end, **compared}


def _changed(limits: Thresholds, asked: Backtest) -> Thresholds:
    if asked.rule not in limits.alarms.rules:
        raise InvalidError(f"must be one of {', '.join(limits.alarms.rules)}", field="rule")
    try:
        return limits.changed(asked.rule, asked.changes)
    except InvalidError as wrong:
        raise InvalidError(str(wrong), field=f"changes.{wrong.field}") from None


def _backtested(asked: Backtest, last: datetime, tier: Tier, now: datetime) -> tuple[datetime, datetime]:
    """Return the period to judge: whole hours of the last readings unless asked otherwise, no longer than is kept."""
    require_length(asked.start, asked.end)
    kept_since = now - timedelta(days=plans()[tier].retention_days)
    end = asked.end or last.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    start = max(asked.start or max(end, kept_since) - performance.USUAL, kept_since)
    if start >= end:
        raise InvalidError(
            f"readings are kept from {kept_since:%Y-%m-%dT%H:%M:%SZ} on; some of that must lie in the period",
            field="end",
        )
    if end - start > LONGEST_BACKTEST:
        raise InvalidError(f"the period may have {LONGEST_BACKTEST.days} days; ask for it in parts", field="start")
    return start.astimezone(UTC), end.astimezone(UTC)


def acknowledge_alert(
    connection: Write,
    organization_id: OrganizationId,
    *,
    alert_id: UUID,
    note: str | None,
    by: Session,
    origin: Origin,
    now: datetime,
) -> Mapping[Any, Any]:
    """Say that somebody is on it; return the alert, with who said so first.

    Where the alert is over and stood only until somebody knew of it, that resolves it.

    Raises:
        ConflictError: the alert is resolved.
        NotFoundError: this organization has no such alert.
    """
    acknowledged = queries.acknowledge(connection, organization_id, alert_id, by=by.email, note=note, now=now)
    if acknowledged is None:
        alert = get_alert(connection, organization_id, alert_id=alert_id)
        if alert["resolved"]:
            raise ConflictError("this alert is resolved already; there is nothing to acknowledge")
        return alert
    said = {"note": note}
    _record(connection, organization_id, "alert.acknowledged", acknowledged, said, by=by, origin=origin, now=now)
    if acknowledged["resolved"]:
        _record(connection, organization_id, "alert.resolved", acknowledged, {}, by=None, origin=origin, now=now)
    return acknowledged


def resolve_alert(
    connection: Write,
    organization_id: OrganizationId,
    *,
    alert_id: UUID,
    note: str | None,
    by: Session,
    origin: Origin,
    now: datetime,
) -> Mapping[Any, Any]:
    """Say that it is over, acknowledged before or not; return the alert, with who said so first.

    Raises:
        NotFoundError: this organization has no such alert.
    """
    resolved = queries.resolve(connection, organization_id, alert_id, by=by.email, note=note, now=now)
    if resolved is None:
        return get_alert(connection, organization_id, alert_id=alert_id)
    said = {"note": note}
    _record(connection, organization_id, "alert.resolved", resolved, said, by=by, origin=origin, now=now)
    return resolved


def shelve_alert(
    connection: Write,
    organization_id: OrganizationId,
    *,
    alert_id: UUID,
    until: datetime,
    reason: str,
    by: Session,
    origin: Origin,
    now: datetime,
) -> Mapping[Any, Any]:
    """Keep an alert from the list until an instant; it goes on counting. Shelving again replaces what was said before.

    Raises:
        ConflictError: the alert is resolved.
        InvalidError: the instant is not ahead, or too far.
        NotFoundError: this organization has no such alert.
    """
    if not now < until <= now + LONGEST_SHELF:
        raise InvalidError(f"must be later than now, and at most {LONGEST_SHELF.days} days ahead", field="until")
    until = until.astimezone(UTC)
    shelved = queries.shelve(connection, organization_id, alert_id, by=by.email, until=until, reason=reason)
    if shelved is None:
        get_alert(connection, organization_id, alert_id=alert_id)
        raise ConflictError("this alert is resolved already; there is nothing to shelve")
    said = {"until": until.isoformat(), "reason": reason}
    _record(connection, organization_id, "alert.shelved", shelved, said, by=by, origin=origin, now=now)
    return shelved


def unshelve_alert(
    connection: Write, organization_id: OrganizationId, *, alert_id: UUID, by: Session, origin: Origin, now: datetime
) -> Mapping[Any, Any]:
    """Show an alert in the list again; one that is not shelved stays as it is.

    Raises:
        NotFoundError: this organization has no such alert.
    """
    shown = queries.unshelve(connection, organization_id, alert_id, now=now)
    if shown is None:
        return get_alert(connection, organization_id, alert_id=alert_id)
    _record(connection, organization_id, "alert.unshelved", shown, {}, by=by, origin=origin, now=now)
    return shown


def comment_on_alert(
    connection: Write,
    organization_id: OrganizationId,
    *,
    alert_id: UUID,
    text: str,
    by: Session,
    origin: Origin,
    now: datetime,
) -> Mapping[Any, Any]:
    """Keep what somebody has to say about an alert, resolved or not, in its history; return the alert.

    Raises:
        NotFoundError: this organization has no such alert.
    """
    alert = get_alert(connection, organization_id, alert_id=alert_id)
    said = {"text": text}
    _record(connection, organization_id, "alert.commented", alert, said, by=by, origin=origin, now=now)
    return alert


def list_history(
    connection: Read,
    organization_id: OrganizationId,
    *,
    alert_id: UUID,
    before: tuple[datetime, UUID] | None,
    limit: int,
) -> Sequence[Mapping[Any, Any]]:
    """Return what was done about an alert, by people and by workflows, the newest first.

    Raises:
        NotFoundError: this organization has no such alert.
    """
    get_alert(connection, organization_id, alert_id=alert_id)
    return queries.list_history(connection, organization_id, alert_id, before=before, limit=limit)


def _record(
    connection: Write,
    organization_id: OrganizationId,
    action: str,
    alert: Mapping[Any, Any],
    said: Mapping[str, object],
    *,
    by: Session | None,
    origin: Origin,
    now: datetime,
) -> None:
    audit.record(
        connection,
        organization_id,
        action,
        by=by,
        origin=origin,
        now=now,
        target=alert["alert_id"],
        details={"compressor_id": alert["compressor_id"], "severity": alert["severity"], **said},
    )
