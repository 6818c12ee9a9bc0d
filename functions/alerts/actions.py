"""What people do about alerts.

Each is done once: whoever repeats it, or comes second, finds the alert as the first left it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from functions.access import audit
from functions.access.audit import Origin
from functions.access.sessions import Session
from functions.alerts import performance, queries
from functions.alerts.queries import Raised
from shared_code.database.transactions import Read, Write
from shared_code.errors import ConflictError, InvalidError, NotFoundError
from shared_code.identifiers import OrganizationId

NO_ALERT: Final = "there is no such alert"
LONGEST_SHELF: Final = timedelta(days=30)


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
