"""Alarms into SQL: each episode that the rules found meets the alert that tells of it, or becomes a new one.

An alert is known again by what it is about: the same machine, rule and time. So late readings that move an onset, or a
lake that is built again, change what the rule says of an alert, and nothing that people did about it.
"""

from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Insert,
    Select,
    Update,
    Uuid,
    and_,
    case,
    delete,
    exists,
    false,
    func,
    insert,
    literal,
    null,
    or_,
    select,
    true,
    update,
)

from etl_job import publish
from shared_code.alarms import AlertType, Severity
from shared_code.database.tables import alert_history, alert_rule_settings, machine_contacts, staging_alert_history
from shared_code.database.tables.alerts import OF_THE_RULE
from shared_code.database.transactions import JobWrite
from shared_code.thresholds import RuleChanges

KEY: Final = ("organization_id", "compressor_id", "rule")
RAISED_BY_RULES: Final = (AlertType.THRESHOLD_WARNING, AlertType.THRESHOLD_CRITICAL, AlertType.PREDICTION)

_STAGED: Final = staging_alert_history.c
_ALERT: Final = alert_history.c


def wanted_rules(connection: JobWrite) -> dict[str, dict[str, RuleChanges]]:
    """Return what organizations want of rules otherwise than everybody has them, by organization and rule."""
    wish = alert_rule_settings.c
    fields = tuple(RuleChanges.model_fields)
    wanted: dict[str, dict[str, RuleChanges]] = {}
    for row in connection.execute(select(wish.organization_id, wish.rule, *(wish[name] for name in fields))).mappings():
        changes = RuleChanges.model_construct(**{name: row[name] for name in fields})
        wanted.setdefault(str(row["organization_id"]), {})[row["rule"]] = changes
    return wanted


def merge(connection: JobWrite, batch_id: str, *, now: datetime) -> int:
    """Merge what a batch's rules found into the alerts; return how many were new or differed.

    In this order no moment has two open alerts of one machine and rule.
    """
    connection.execute(_recognise(batch_id))
    statements = (
        _withdraw(batch_id, now),
        _revise(batch_id, over=True),
        _supersede(batch_id),
        _revise(batch_id, over=False),
        _add(batch_id, connection.dialect.name),
    )
    counted = {"preserve_rowcount": True}
    changed = sum(connection.execute(each, execution_options=counted).rowcount for each in statements)
    ours = _STAGED.batch_id == batch_id
    for statement in _heard(batch_id, connection.dialect.name):
        connection.execute(statement)
    if changed:
        publish.tell(connection, select(_STAGED.organization_id).where(ours).distinct())
    connection.execute(delete(staging_alert_history).where(ours))
    return changed


def _heard(batch_id: str, dialect: str) -> list[Insert | Update]:
    """Note when machines were last heard."""
    machine = (_STAGED.organization_id, _STAGED.compressor_id)
    known = (_STAGED.batch_id == batch_id, _STAGED.rule.is_(None), _STAGED.latest_at.is_not(None))
    last = func.max(_STAGED.latest_at).label("last_reading_at")
    heard = select(*machine, last).where(*known).group_by(*machine).subquery("heard")
    rows = select(*(heard.c[column.name] for column in machine_contacts.columns))
    return publish.upsert(machine_contacts, rows, dialect, not_before="last_reading_at")


def _recognise(batch_id: str) -> Update:
    """Note which alert each episode is: one that tells of some of the same time, and of no earlier episode."""
    same_onset = case((_ALERT.onset_at == _STAGED.onset_at, 0), else_=1)
    episode = (_STAGED.organization_id, _STAGED.compressor_id, _STAGED.rule, _STAGED.alert_timestamp)
    pairs = (
        select(
            *episode,
            _ALERT.alert_id,
            func.rank()
            .over(partition_by=episode, order_by=(same_onset, _ALERT.onset_at, _ALERT.alert_id))
            .label("of_episode"),
            func.rank()
            .over(partition_by=(_ALERT.organization_id, _ALERT.alert_id), order_by=(same_onset, _STAGED.onset_at))
            .label("of_alert"),
        )
        .select_from(staging_alert_history)
        .join(
            alert_history,
            and_(
                *(_ALERT[name] == _STAGED[name] for name in KEY),
                _ALERT.onset_at <= _STAGED.latest_at,
                _STAGED.onset_at <= _ALERT.latest_at,
            ),
        )
        .where(_STAGED.batch_id == batch_id)
        .subquery("pairs")
    )
    return (
        update(staging_alert_history)
        .values(alert_id=pairs.c.alert_id)
        .where(
            _STAGED.batch_id == batch_id,
            *(column == pairs.c[column.name] for column in episode),
            pairs.c.of_episode == 1,
            pairs.c.of_alert == 1,
        )
    )


def _withdraw(batch_id: str, now: datetime) -> Update:
    """Withdraw alerts of the time that was judged anew, of which no episode tells any more."""
    judged, told = staging_alert_history.alias("judged"), staging_alert_history.alias("told")
    anew = exists().where(
        judged.c.batch_id == batch_id,
        judged.c.rule.is_(None),
        judged.c.organization_id == _ALERT.organization_id,
        judged.c.compressor_id == _ALERT.compressor_id,
        or_(_ALERT.cleared_at.is_(None), _ALERT.cleared_at >= judged.c.onset_at),
    )
    still_told = exists().where(
        told.c.batch_id == batch_id,
        told.c.organization_id == _ALERT.organization_id,
        told.c.alert_id == _ALERT.alert_id,
    )
    return (
        update(alert_history)
        .values(withdrawn_at=now, resolved=true(), resolved_at=func.coalesce(_ALERT.resolved_at, now))
        .where(
            _ALERT.alert_type.in_(RAISED_BY_RULES),
            _ALERT.withdrawn_at.is_(None),
            _ALERT.resolved_by.is_(None),
            anew,
            ~still_told,
        )
    )


def _revise(batch_id: str, *, over: bool) -> Update:
    """Let alerts say what the rule says now: those that are over, or those that stand."""
    is_over = _is_over(_ALERT.acknowledged == true())
    says: dict[str, ColumnElement[Any]] = {name: _STAGED[name] for name in OF_THE_RULE if name not in KEY}
    says["severity"] = case((_ALERT.escalated_at.is_not(None), literal(Severity.CRITICAL)), else_=_STAGED.severity)
    says["resolved"] = true() if over else false()
    says["resolved_at"] = _STAGED.cleared_at if over else null()
    says["withdrawn_at"] = null()
    return (
        update(alert_history)
        .values(says)
        .where(
            _STAGED.batch_id == batch_id,
            _STAGED.organization_id == _ALERT.organization_id,
            _STAGED.alert_id == _ALERT.alert_id,
            _ALERT.resolved_by.is_(None),
            is_over if over else ~is_over,
            or_(*(_ALERT[name].is_distinct_from(value) for name, value in says.items())),
        )
    )


def _supersede(batch_id: str) -> Update:
    """Let go of alerts that only stand because nobody acknowledged them, where the same problem came again."""
    again = exists().where(
        _STAGED.batch_id == batch_id,
        *(_STAGED[name] == _ALERT[name] for name in KEY),
        _STAGED.onset_at > _ALERT.cleared_at,
    )
    return (
        update(alert_history)
        .values(resolved=true(), resolved_at=_ALERT.cleared_at)
        .where(_ALERT.resolved == false(), _ALERT.cleared_at.is_not(None), again)
    )


def _add(batch_id: str, dialect: str) -> Any:  # noqa: ANN401 - an insert
    """Raise an alert for each episode that none tells of yet."""
    new_id = func.gen_random_uuid() if dialect == "postgresql" else func.newid()
    is_over = _is_over(false())
    # A task that Spark ran twice has copied its rows twice.
    found = _each_once(batch_id, is_over).subquery("found")
    values = select(
        new_id.cast(Uuid()),
        *(found.c[name] for name in OF_THE_RULE),
        false(),
        found.c.resolved,
        case((found.c.resolved == true(), found.c.cleared_at)),
    )
    return insert(alert_history).from_select(
        ["alert_id", *OF_THE_RULE, "acknowledged", "resolved", "resolved_at"], values
    )


def _each_once(batch_id: str, is_over: ColumnElement[bool]) -> Select[Any]:
    resolved = case((is_over, true()), else_=false()).label("resolved")
    ours = (_STAGED.batch_id == batch_id, _STAGED.rule.is_not(None), _STAGED.alert_id.is_(None))
    return select(*(_STAGED[name] for name in OF_THE_RULE), resolved).where(*ours).distinct()


def _is_over(acknowledged: ColumnElement[bool]) -> ColumnElement[bool]:
    """Whether a staged episode's alert is over: a latched one stands until somebody knows of it, or it comes again."""
    later = staging_alert_history.alias("later")
    again = exists().where(
        later.c.batch_id == _STAGED.batch_id,
        *(later.c[name] == _STAGED[name] for name in KEY),
        later.c.onset_at > _STAGED.onset_at,
    )
    return and_(_STAGED.cleared_at.is_not(None), or_(_STAGED.latched == false(), acknowledged, again))
