"""SQL of alerts."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    CTE,
    ColumnElement,
    Float,
    Integer,
    RowMapping,
    and_,
    case,
    cast,
    extract,
    false,
    func,
    literal,
    null,
    or_,
    select,
    true,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from functions.alerts.status import AskedStatus
from shared_code.alarms import Severity
from shared_code.database.tables import (
    alert_history,
    alert_rule_settings,
    audit_log,
    machine_contacts,
    maintenance_events,
)
from shared_code.database.tables.access import ALTAVIZ
from shared_code.database.tables.fleet import MaintenanceType
from shared_code.database.tables.metadata import INSTANT
from shared_code.database.transactions import Read, Write
from shared_code.identifiers import CompressorId, OrganizationId
from shared_code.thresholds import RuleChanges

_ALERT: Final = alert_history.c
_ENTRY: Final = audit_log.c

FLOOD_WINDOW: Final = timedelta(minutes=10)
FLOOD_BEGINS: Final = 10
FLOOD_ENDS: Final = 5
"""A flood begins with so many alerts in a window, and ends when a window has fewer than these (EEMUA 191)."""
REPEATED: Final = 3
"""So many of the same machine and rule repeat."""
REPEATING: Final = timedelta(days=1)
CHATTERING: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Raised:
    """Which alerts figures are about: raised from `start` on, before `end`; of one machine, or of all where it is None.

    Both instants are in UTC.
    """

    start: datetime
    end: datetime
    compressor_id: CompressorId | None


def list_alerts(
    connection: Read,
    organization_id: OrganizationId,
    *,
    status: AskedStatus,
    now: datetime,
    severity: Severity | None,
    compressor_id: CompressorId | None,
    before: tuple[datetime, UUID] | None,
    limit: int,
) -> Sequence[RowMapping]:
    """Return up to `limit` alerts, the newest first, those that come after the position `before`."""
    query = (
        select(alert_history)
        .where(_ALERT.organization_id == organization_id, *_stands(status, now))
        .order_by(_ALERT.alert_timestamp.desc(), _ALERT.alert_id.desc())
        .limit(limit)
    )
    if severity is not None:
        query = query.where(_ALERT.severity == severity)
    if compressor_id is not None:
        query = query.where(_ALERT.compressor_id == compressor_id)
    if before is not None:
        at, alert_id = before
        # Said twice, because an index finds its place by the first and not by the second.
        query = query.where(_ALERT.alert_timestamp <= at, or_(_ALERT.alert_timestamp < at, _ALERT.alert_id < alert_id))
    return connection.execute(query).mappings().all()


def find_alert(connection: Read | Write, organization_id: OrganizationId, alert_id: UUID) -> RowMapping | None:
    """Return an alert; None without such a one."""
    query = select(alert_history).where(_own(organization_id, alert_id))
    return connection.execute(query).mappings().one_or_none()


def acknowledge(
    connection: Write, organization_id: OrganizationId, alert_id: UUID, *, by: str, note: str | None, now: datetime
) -> RowMapping | None:
    """Mark an open alert as acknowledged and return it; None where there is none such, or another was first.

    One that is over and stood for that alone is resolved by it.
    """
    is_over = _ALERT.cleared_at.is_not(None)
    statement = (
        update(alert_history)
        .where(_own(organization_id, alert_id), _ALERT.resolved == false(), _ALERT.acknowledged == false())
        .values(
            acknowledged=True,
            acknowledged_by=by,
            acknowledged_at=now,
            acknowledged_note=note,
            resolved=case((is_over, true()), else_=false()),
            resolved_at=case((is_over, _ALERT.cleared_at)),
        )
        .returning(alert_history)
    )
    return connection.execute(statement).mappings().one_or_none()


def resolve(
    connection: Write, organization_id: OrganizationId, alert_id: UUID, *, by: str, note: str | None, now: datetime
) -> RowMapping | None:
    """Mark an alert as resolved by somebody and return it; None where none such stands any more."""
    statement = (
        update(alert_history)
        .where(_own(organization_id, alert_id), _ALERT.resolved == false())
        .values(resolved=True, resolved_by=by, resolved_at=now, resolved_note=note)
        .returning(alert_history)
    )
    return connection.execute(statement).mappings().one_or_none()


def shelve(
    connection: Write,
    organization_id: OrganizationId,
    alert_id: UUID,
    *,
    by: str,
    until: datetime,
    reason: str,
) -> RowMapping | None:
    """Keep an alert that stands from the list until an instant, and return it; None where none such stands."""
    statement = (
        update(alert_history)
        .where(_own(organization_id, alert_id), _ALERT.resolved == false())
        .values(shelved_until=until, shelved_by=by, shelved_reason=reason)
        .returning(alert_history)
    )
    return connection.execute(statement).mappings().one_or_none()


def unshelve(connection: Write, organization_id: OrganizationId, alert_id: UUID, *, now: datetime) -> RowMapping | None:
    """Show an alert again that is shelved, and return it; None where none such is."""
    statement = (
        update(alert_history)
        .where(_own(organization_id, alert_id), _ALERT.resolved == false(), _ALERT.shelved_until > now)
        .values(shelved_until=null(), shelved_by=null(), shelved_reason=null())
        .returning(alert_history)
    )
    return connection.execute(statement).mappings().one_or_none()


def list_history(
    connection: Read,
    organization_id: OrganizationId,
    alert_id: UUID,
    *,
    before: tuple[datetime, UUID] | None,
    limit: int,
) -> Sequence[RowMapping]:
    """Return up to `limit` entries of the audit log about an alert, the newest first, after the position `before`."""
    query = (
        select(audit_log)
        .where(_ENTRY.organization_id == organization_id, _ENTRY.target == str(alert_id))
        .order_by(_ENTRY.occurred_at.desc(), _ENTRY.id.desc())
        .limit(limit)
    )
    if before is not None:
        at, entry_id = before
        query = query.where(_ENTRY.occurred_at <= at, or_(_ENTRY.occurred_at < at, _ENTRY.id < entry_id))
    return connection.execute(query).mappings().all()


def count_by_day(connection: Read, organization_id: OrganizationId, raised: Raised) -> Sequence[RowMapping]:
    """Return, for each UTC day with any, how many alerts were annunciated by severity, suppressed, and withdrawn."""
    there = _ALERT.withdrawn_at.is_(None)
    day = func.date_trunc("day", _ALERT.alert_timestamp).label("day")  # connections are in UTC
    told = and_(there, _ALERT.suppressed_by.is_(None))
    query = select(
        day,
        *(func.count().filter(told, _ALERT.severity == severity).label(severity) for severity in Severity),
        func.count().filter(there, _ALERT.suppressed_by.is_not(None)).label("suppressed"),
        func.count().filter(~there).label("withdrawn"),
    )
    return connection.execute(query.where(*_raised(organization_id, raised)).group_by(day)).mappings().all()


def count_by_rule(connection: Read, organization_id: OrganizationId, raised: Raised) -> Mapping[str, int]:
    """Return how many alerts each rule annunciated."""
    query = select(_ALERT.rule, func.count()).where(*_annunciated(organization_id, raised)).group_by(_ALERT.rule)
    return dict(connection.execute(query).all())


def list_most_frequent(
    connection: Read, organization_id: OrganizationId, raised: Raised, *, limit: int
) -> Sequence[RowMapping]:
    """Return which rules of which machines annunciated most alerts: `compressor_id`, `rule`, `raised`."""
    machine_and_rule = (_ALERT.compressor_id, _ALERT.rule)
    count = func.count().label("raised")
    query = (
        select(*machine_and_rule, count)
        .where(*_annunciated(organization_id, raised))
        .group_by(*machine_and_rule)
        .order_by(count.desc(), *machine_and_rule)
        .limit(limit)
    )
    return connection.execute(query).mappings().all()


def list_repeating(
    connection: Read, organization_id: OrganizationId, raised: Raised, *, limit: int
) -> Sequence[RowMapping]:
    """Return rules of machines that annunciated three alerts within a day, the quickest first.

    With `raised`, how many there were of it; `shortest_minutes`, in which it was raised three times; and the same in
    each row, `repeating` and `chattering`, how many rules of machines are so, listed or not.
    """
    at = _ALERT.alert_timestamp
    machine_and_rule = (_ALERT.compressor_id, _ALERT.rule)
    before = func.lag(at, REPEATED - 1).over(partition_by=machine_and_rule, order_by=at)
    each = select(*machine_and_rule, (at - before).label("took")).where(*_annunciated(organization_id, raised)).cte()
    took = func.min(each.c.took)
    query = (
        select(
            each.c.compressor_id,
            each.c.rule,
            func.count().label("raised"),
            _minutes(took).label("shortest_minutes"),
            func.count().over().label("repeating"),
            func.sum(case((took <= CHATTERING, 1), else_=0)).over().label("chattering"),
        )
        .group_by(each.c.compressor_id, each.c.rule)
        .having(took <= REPEATING)
        .order_by(took, each.c.compressor_id, each.c.rule)
        .limit(limit)
    )
    return connection.execute(query).mappings().all()


def list_floods(
    connection: Read, organization_id: OrganizationId, raised: Raised, *, limit: int
) -> Sequence[RowMapping]:
    """Return floods, the gravest first: `start`, `end`, and `peak`, the most alerts that ten minutes had.

    With them, the same in each row, `floods` and `minutes`, how many there were and how long all lasted, listed or not.
    """
    flooded = _flooded(_known_rates(organization_id, raised))
    start, end = func.min(flooded.c.at), func.least(func.max(flooded.c.until), literal(raised.end, INSTANT))
    peak = func.max(flooded.c.rate)
    query = (
        select(
            start.label("start"),
            end.label("end"),
            cast(peak, Integer).label("peak"),
            func.count().over().label("floods"),
            _minutes(func.sum(end - start).over()).label("minutes"),
        )
        .where(flooded.c.flooded == 1)
        .group_by(flooded.c.stretch)
        .order_by(peak.desc(), start.desc())
        .limit(limit)
    )
    return connection.execute(query).mappings().all()


def _known_rates(organization_id: OrganizationId, raised: Raised) -> CTE:
    """Select how many alerts the last ten minutes had, wherever that changes, until when, and what it says of floods.

    `says` is 1 where there is certainly a flood, 0 where there certainly is none, and else NULL: it is as it was.
    """
    at = _ALERT.alert_timestamp
    ours = _annunciated(organization_id, raised)
    change = union_all(
        select(at.label("at"), literal(1).label("by")).where(*ours),
        select((at + FLOOD_WINDOW).label("at"), literal(-1).label("by")).where(*ours),
    ).cte("change")
    rate = func.sum(func.sum(change.c.by)).over(order_by=change.c.at)
    until = func.lead(change.c.at).over(order_by=change.c.at)
    rates = select(change.c.at, until.label("until"), rate.label("rate")).group_by(change.c.at).cte("rates")
    says = case((rates.c.rate >= FLOOD_BEGINS, 1), (rates.c.rate < FLOOD_ENDS, 0))
    return select(rates, says.label("says")).cte("known")


def _flooded(known: CTE) -> CTE:
    """Select the same with `flooded`, 1 or 0, and `stretch`, the same for neighbours that are flooded."""
    since = func.count(known.c.says).over(order_by=known.c.at).label("since")
    carried = select(known, since).cte("carried")
    flooded = func.coalesce(func.max(carried.c.says).over(partition_by=carried.c.since), 0).label("flooded")
    decided = select(carried, flooded).cte("decided")
    stretch = func.sum(1 - decided.c.flooded).over(order_by=decided.c.at).label("stretch")
    return select(decided, stretch).cte("flooded")


def measure_times(connection: Read, organization_id: OrganizationId, raised: Raised) -> RowMapping:
    """Return how long it took until alerts were acknowledged by people, and resolved by anybody, in minutes.

    Each as `median` and `p90` with how many were (`acknowledged`, `resolved`) and how many of all were not.
    """
    by_people = and_(_ALERT.acknowledged == true(), _ALERT.acknowledged_by != ALTAVIZ)
    columns: list[ColumnElement[Any]] = []
    for name, done, at in (
        ("acknowledged", by_people, _ALERT.acknowledged_at),
        ("resolved", _ALERT.resolved == true(), _ALERT.resolved_at),
    ):
        # A late reading may have moved the alert to after what people did about it.
        took = case((done, func.greatest(_minutes(at - _ALERT.alert_timestamp), 0)))
        columns += [func.count(took).label(name), (func.count() - func.count(took)).label(f"not_{name}")]
        for figure, part in (("median", 0.5), ("p90", 0.9)):
            columns.append(func.percentile_cont(part).within_group(took).label(f"{name}_{figure}"))
    query = select(*columns).where(*_annunciated(organization_id, raised))
    return connection.execute(query).mappings().one()


def list_stale(
    connection: Read,
    organization_id: OrganizationId,
    *,
    raised_before: datetime,
    now: datetime,
    compressor_id: CompressorId | None,
    limit: int,
) -> Sequence[RowMapping]:
    """Return active alerts that were raised before an instant, the oldest first; `stale` is how many, listed or not."""
    query = (
        select(
            _ALERT.alert_id,
            _ALERT.compressor_id,
            _ALERT.rule,
            _ALERT.alert_timestamp,
            func.count().over().label("stale"),
        )
        .where(
            _ALERT.organization_id == organization_id,
            *_stands(AskedStatus.ACTIVE, now),
            _ALERT.alert_timestamp < raised_before,
        )
        .order_by(_ALERT.alert_timestamp, _ALERT.alert_id)
        .limit(limit)
    )
    if compressor_id is not None:
        query = query.where(_ALERT.compressor_id == compressor_id)
    return connection.execute(query).mappings().all()


def find_wishes(connection: Read | Write, organization_id: OrganizationId) -> Mapping[str, RuleChanges]:
    """Return what an organization wants of rules otherwise than everybody has them, by rule."""
    wish = alert_rule_settings.c
    query = select(wish.rule, *(wish[field] for field in RuleChanges.model_fields)).where(
        wish.organization_id == organization_id
    )
    rows = connection.execute(query).mappings().all()
    return {row["rule"]: RuleChanges.model_construct(**{f: row[f] for f in RuleChanges.model_fields}) for row in rows}


def save_wishes(
    connection: Write, organization_id: OrganizationId, rule: str, wishes: RuleChanges, *, by: str, now: datetime
) -> None:
    """Replace what an organization wants of a rule."""
    values = {**wishes.model_dump(), "updated_at": now, "updated_by": by}
    connection.execute(
        insert(alert_rule_settings)
        .values({**values, "organization_id": organization_id, "rule": rule})
        .on_conflict_do_update(index_elements=["organization_id", "rule"], set_=values)
    )


def find_last_contact(
    connection: Read, organization_id: OrganizationId, compressor_ids: Collection[CompressorId] | None
) -> datetime | None:
    """Return when any of these machines, of all where it is None, was last heard; None where none ever was."""
    contact = machine_contacts.c
    query = select(func.max(contact.last_reading_at)).where(contact.organization_id == organization_id)
    if compressor_ids is not None:
        query = query.where(contact.compressor_id.in_(compressor_ids))
    return connection.execute(query).scalar_one()


def list_failures(
    connection: Read,
    organization_id: OrganizationId,
    compressor_ids: Collection[CompressorId] | None,
    *,
    start: datetime,
    end: datetime,
    limit: int,
) -> Sequence[RowMapping]:
    """Return breakdowns of these machines, of all where it is None, from `start` on, before `end`, the newest first."""
    event = maintenance_events.c
    query = (
        select(event.compressor_id, event.event_date)
        .where(
            event.organization_id == organization_id,
            event.event_date >= start,
            event.event_date < end,
            event.event_type == MaintenanceType.FAILURE,
        )
        .order_by(event.event_date.desc(), event.event_id.desc())
        .limit(limit)
    )
    if compressor_ids is not None:
        query = query.where(event.compressor_id.in_(compressor_ids))
    return connection.execute(query).mappings().all()


def _raised(organization_id: OrganizationId, raised: Raised) -> Sequence[ColumnElement[bool]]:
    conditions = (
        _ALERT.organization_id == organization_id,
        _ALERT.alert_timestamp >= raised.start,
        _ALERT.alert_timestamp < raised.end,
    )
    return conditions if raised.compressor_id is None else (*conditions, _ALERT.compressor_id == raised.compressor_id)


def _annunciated(organization_id: OrganizationId, raised: Raised) -> Sequence[ColumnElement[bool]]:
    """Return the conditions of alerts that somebody was told of."""
    return (*_raised(organization_id, raised), _ALERT.suppressed_by.is_(None), _ALERT.withdrawn_at.is_(None))


def _minutes(interval: ColumnElement[Any]) -> ColumnElement[float]:
    return cast(extract("epoch", interval), Float) / 60


def _stands(status: AskedStatus, now: datetime) -> Sequence[ColumnElement[bool]]:
    """Return the conditions of a status; what is active is either open or acknowledged, and kept from nobody."""
    stands = _ALERT.resolved == false()
    shelved = _ALERT.shelved_until > now
    active = (stands, _ALERT.suppressed_by.is_(None), or_(_ALERT.shelved_until.is_(None), _ALERT.shelved_until <= now))
    conditions: dict[AskedStatus, tuple[ColumnElement[Any], ...]] = {
        AskedStatus.ACTIVE: active,
        AskedStatus.OPEN: (*active, _ALERT.acknowledged == false()),
        AskedStatus.ACKNOWLEDGED: (*active, _ALERT.acknowledged == true()),
        AskedStatus.SHELVED: (stands, shelved),
        AskedStatus.SUPPRESSED: (stands, _ALERT.suppressed_by.is_not(None)),
        AskedStatus.RESOLVED: (_ALERT.resolved == true(),),
        AskedStatus.ALL: (),
    }
    return conditions[status]


def _own(organization_id: OrganizationId, alert_id: UUID) -> ColumnElement[bool]:
    return and_(_ALERT.organization_id == organization_id, _ALERT.alert_id == alert_id)
