"""What a message says, in the words of each kind of channel.

A message is kept as data, so that it is the same at each attempt: its type, the organization, and of each alert what
there was to tell of it then.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from standardwebhooks import Webhook

from functions.compressors.health import quantities
from functions.mail import Letter
from functions.notifications.decisions import zone_of
from functions.notifications.sending import Post
from shared_code.database.tables.notifications import Occasion
from shared_code.thresholds import thresholds

Message = Mapping[str, Any]
"""type, organization_id, organization_name, at (ISO 8601) and alerts; see `of_alerts`."""

MOST: Final = 20
"""Alerts that one message tells of; a screen holds no more."""
TEST: Final = "test"
DIGEST: Final = "alerts"
FACTS: Final = (
    "alert_id",
    "compressor_id",
    "station_id",
    "station_name",
    "timezone",
    "rule",
    "severity",
    "onset_at",
    "alert_timestamp",
    "critical_at",
    "escalated_at",
    "sensor_name",
    "sensor_value",
    "peak_value",
    "threshold_value",
    "message",
    "cleared_at",
    "resolved_at",
    "resolved_by",
    "withdrawn_at",
)
_HEADINGS: Final = {Occasion.WARNING: "Warning", Occasion.CRITICAL: "CRITICAL", Occasion.RESOLVED: "Over"}
_COLOURS: Final = {Occasion.WARNING: "Warning", Occasion.CRITICAL: "Attention", Occasion.RESOLVED: "Good"}


def of_alerts(rows: Sequence[Mapping[Any, Any]], *, at: datetime) -> Message:
    """Return a message that tells of alerts of one organization, each a row of `queries.lock_due`."""
    first = rows[0]
    return {
        "type": f"alert.{first['occasion']}" if len(rows) == 1 else DIGEST,
        "organization_id": str(first["organization_id"]),
        "organization_name": first["organization_name"],
        "at": at.isoformat(),
        "alerts": [_facts(row) for row in rows],
    }


def of_a_test(*, organization_id: UUID, organization_name: str, at: datetime) -> Message:
    """Return a message that tells of nothing but that messages arrive."""
    return {
        "type": TEST,
        "organization_id": str(organization_id),
        "organization_name": organization_name,
        "at": at.isoformat(),
        "alerts": [],
    }


def letter(message: Message, address: str) -> Letter:
    """Return an e-mail."""
    text = "\n\n".join([*(_paragraph(alert) for alert in message["alerts"]), _why(message)])
    return Letter(to=address, subject=" ".join(f"[Altaviz] {title(message)}".split()), text=f"{text}\n")


def slack(message: Message, url: str) -> Post:
    """Return what an incoming webhook of Slack's takes."""
    blocks: list[dict[str, Any]] = [{"type": "header", "text": {"type": "plain_text", "text": title(message)[:150]}}]
    for alert in message["alerts"]:
        heading, *rest = _lines(alert)
        text = "\n".join([f"*{_for_slack(heading)}*", *(_for_slack(line) for line in rest)])
        blocks.append({"type": "section", "text": {"type": "mrkdwn", "text": text[:3000]}})
    blocks.append({"type": "context", "elements": [{"type": "mrkdwn", "text": _for_slack(_why(message))}]})
    return _json(url, {"text": _for_slack(title(message)), "blocks": blocks})


def teams(message: Message, url: str) -> Post:
    """Return what a workflow of Teams' takes that waits for webhooks: an adaptive card."""
    body: list[dict[str, Any]] = [_block(title(message), size="Large", weight="Bolder")]
    for alert in message["alerts"]:
        heading, *rest = _lines(alert)
        body.append(_block(heading, weight="Bolder", color=_COLOURS[Occasion(alert["occasion"])], separator=True))
        body += [_block(line, spacing="Small") for line in rest]
    body.append(_block(_why(message), isSubtle=True, size="Small"))
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "msteams": {"width": "Full"},
        "body": body,
    }
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return _json(url, {"type": "message", "attachments": [attachment]})


def webhook(message: Message, url: str, *, delivery_id: UUID, secrets: Iterable[str], now: datetime) -> Post:
    """Return a signed event, as Standard Webhooks has it: the id stays at each attempt, time and signature do not."""
    alerts = message["alerts"]
    whose = {name: message[name] for name in ("organization_id", "organization_name")}
    data: dict[str, Any] = {**whose, **(alerts[0] if alerts else {})}
    body = json.dumps({"type": message["type"], "timestamp": message["at"], "data": data}, ensure_ascii=False)
    signatures = [Webhook(secret).sign(str(delivery_id), now, body) for secret in secrets]
    headers = {
        "Content-Type": "application/json",
        "webhook-id": str(delivery_id),
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
    return Post(url, body.encode(), headers)


def title(message: Message) -> str:
    """Return a message in one line."""
    alerts = message["alerts"]
    if not alerts:
        return "A test: messages arrive here"
    if len(alerts) == 1:
        return _heading(alerts[0])
    grave = sum(alert["occasion"] == Occasion.CRITICAL for alert in alerts)
    over = sum(alert["occasion"] == Occasion.RESOLVED for alert in alerts)
    machines = len({alert["compressor_id"] for alert in alerts})
    counts = [f"{grave} critical"] * (grave > 0) + [f"{over} over"] * (over > 0)
    where = f"at {machines} machines" if machines > 1 else f"of {alerts[0]['compressor_id']}"
    return f"{len(alerts)} alerts {where}" + (f", {', '.join(counts)}" if counts else "")


def _facts(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Return what there is to tell of an alert, as JSON holds it."""
    rule = thresholds().alarms.rules.get(row["rule"])
    units = {quantity.sensor: quantity.unit for quantity in quantities()}
    facts = {name: row[name] for name in FACTS} | {
        "occasion": row["occasion"],
        "unit": units.get(row["sensor_name"]),
        "words": rule.words if rule else None,
        "priority": rule.priority if rule else None,
        "consequence": rule.consequence if rule else None,
        "action": rule.action if rule else None,
    }
    return {name: _plain(value) for name, value in facts.items()}


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else value


def _heading(alert: Mapping[str, Any]) -> str:
    what = alert["words"] or alert["rule"].replace("_", " ")
    return f"{_HEADINGS[Occasion(alert['occasion'])]}: {what}, {alert['compressor_id']} at {alert['station_name']}"


def _lines(alert: Mapping[str, Any]) -> list[str]:
    """Return an alert in lines, the first its heading."""
    began = f"Since {_by_the_clock_there(alert['onset_at'], alert['timezone'])}."
    if alert["occasion"] == Occasion.RESOLVED:
        return [_heading(alert), alert["message"], _how_it_ended(alert)]
    lines = [_heading(alert), alert["message"], began]
    if alert["escalated_at"]:
        lines.append("It became critical because nobody acknowledged it.")
    if alert["consequence"]:
        lines.append(f"Risk: {alert['consequence']}")
    if alert["action"]:
        lines.append(f"To do: {alert['action']}")
    return lines


def _how_it_ended(alert: Mapping[str, Any]) -> str:
    if alert["withdrawn_at"]:
        return "Later readings showed that it never was."
    if alert["resolved_by"]:
        return f"Resolved by {alert['resolved_by']}."
    if alert["cleared_at"]:
        return f"Healthy again since {_by_the_clock_there(alert['cleared_at'], alert['timezone'])}."
    return "Resolved."


def _by_the_clock_there(instant: str, zone: str) -> str:
    """Return an instant by the station's clock, and the zone that it is in."""
    there = datetime.fromisoformat(instant).astimezone(zone_of(zone))
    offset = (there.utcoffset() or timedelta()).total_seconds() / 3600
    return f"{there:%Y-%m-%d %H:%M} {there.tzname()} (UTC{offset:+g})"


def _paragraph(alert: Mapping[str, Any]) -> str:
    return "\n".join(_lines(alert))


def _why(message: Message) -> str:
    return f"{message['organization_name']} has Altaviz tell you this."


def _block(text: str, **style: object) -> dict[str, Any]:
    return {"type": "TextBlock", "text": text, "wrap": True, **style}


def _for_slack(text: str) -> str:
    """Return text in which nothing is a link or a mention."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _json(url: str, body: Mapping[str, Any]) -> Post:
    return Post(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
