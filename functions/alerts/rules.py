"""The rules of alerts as an organization wants them, and what a change of them would have told.

A rule is as `config/thresholds.yaml` says, but for what the organization wants otherwise; the Spark job judges by that
from its next run on.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from functions.access import audit
from functions.access import queries as access_queries
from functions.access.audit import Origin
from functions.access.sessions import Session
from functions.alerts import performance, queries
from functions.plans import plans
from functions.readings.actions import require_length
from functions.readings.queries import list_machines
from functions.settings import LakeSettings
from shared_code.database.tables.organizations import Tier
from shared_code.database.transactions import Read, Write
from shared_code.errors import ConflictError, InvalidError, NotFoundError
from shared_code.identifiers import CompressorId, OrganizationId
from shared_code.readings import DISTANCE
from shared_code.thresholds import RuleChanges, Thresholds, thresholds

LONGEST_BACKTEST: Final = timedelta(days=90)
JUDGED_BEFORE: Final = timedelta(days=2)
"""How much before a period is judged with it: more than any delay, so that what was open then is known."""
MOST_READINGS: Final = 1_000_000
"""Of one back-test; each takes some 400 bytes."""
MOST_FAILURES: Final = 200


def describe_rules(connection: Read, organization_id: OrganizationId) -> Mapping[str, Any]:
    """Return the rules by which an organization's alerts are raised, and what holds for all of them."""
    wishes = queries.find_wishes(connection, organization_id)
    limits = thresholds().as_wanted(wishes)
    alarms = limits.alarms
    return {
        "items": [_described(limits, name, wishes) for name in alarms.rules],
        "next": None,
        "normal_readings": alarms.normal_readings,
        "gap_minutes": alarms.gap_minutes,
        "group_minutes": alarms.group_minutes,
        "most_open": alarms.most_open,
    }


def change_rule(
    connection: Write,
    organization_id: OrganizationId,
    *,
    name: str,
    wishes: Mapping[str, Any],
    by: Session,
    origin: Origin,
    now: datetime,
) -> Mapping[str, Any]:
    """Change what an organization wants of a rule, and return the rule. The job's next run judges by it.

    Args:
        connection: the transaction.
        organization_id: whose.
        name: of the rule.
        wishes: what is to change, by field of `RuleChanges`; None is as for everybody.
        by: who wants it.
        origin: where from.
        now: when.

    Raises:
        InvalidError: that makes no rule.
        NotFoundError: there is no such rule.
    """
    if name not in thresholds().alarms.rules:
        raise NotFoundError("there is no such rule")
    access_queries.lock_organization(connection, organization_id)  # limits of two changes must make a rule together
    all_before = queries.find_wishes(connection, organization_id)
    before = all_before.get(name, RuleChanges())
    after = before.model_copy(update=dict(wishes))
    limits = thresholds().changed(name, after)
    changes = {
        field: {"from": getattr(before, field), "to": value}
        for field, value in after.model_dump().items()
        if value != getattr(before, field)
    }
    if changes:
        queries.save_wishes(connection, organization_id, name, after, by=by.email, now=now)
        audit.record(
            connection,
            organization_id,
            "alert_rule.changed",
            by=by,
            origin=origin,
            now=now,
            target=name,
            details=changes,
        )
    return _described(limits, name, {name: after})


def _described(limits: Thresholds, name: str, wishes: Mapping[str, RuleChanges]) -> dict[str, Any]:
    rule = limits.alarms.rules[name]
    warning, critical = limits.limits_of(rule)
    return {
        **rule.model_dump(),
        "rule": name,
        "unit": limits.unit_of(rule),
        "warning_limit": warning,
        "critical_limit": critical,
        "wanted": wishes.get(name, RuleChanges()).model_dump(),
    }


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
    wishes = queries.find_wishes(connection, organization_id)
    limits = thresholds().as_wanted(wishes)
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
        compared[name] |= {"rule": _described(used, asked.rule, wishes)}
    return {"start": start, "end": end, **compared}


def _changed(limits: Thresholds, asked: Backtest) -> Thresholds:
    if asked.rule not in limits.alarms.rules:
        raise InvalidError(f"must be one of {', '.join(limits.alarms.rules)}", field="rule")
    if limits.alarms.rules[asked.rule].channel == DISTANCE:
        raise InvalidError(
            "cannot be back-tested: it judges predictions, which are made of more than is read here", field="rule"
        )
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
