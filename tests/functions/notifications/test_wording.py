"""What messages say."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from functions.notifications import wording
from functions.notifications.wording import Message

NOW = datetime(2026, 1, 12, 12, tzinfo=UTC)
ORGANIZATION = UUID(int=7)
DELIVERY = UUID(int=9)
SECRET = "whsec_" + "QUJDRA" * 7 + "QQ=="
OTHER = "whsec_" + "RUZHSA" * 7 + "RQ=="
URL = "https://hooks.customer.example/alerts"


def a_row(**more: object) -> dict[str, Any]:
    return {
        "organization_id": ORGANIZATION,
        "organization_name": "Karnes Gas & Co",
        "alert_id": UUID(int=1),
        "occasion": "critical",
        "compressor_id": "COMP-003",
        "station_id": "STATION-A",
        "station_name": "Karnes <City>",
        "timezone": "America/Chicago",
        "rule": "vibration_high",
        "severity": "critical",
        "onset_at": datetime(2026, 1, 12, 11, 40, tzinfo=UTC),
        "alert_timestamp": NOW,
        "critical_at": NOW,
        "escalated_at": None,
        "sensor_name": "vibration_mms",
        "sensor_value": 8.4,
        "peak_value": 8.6,
        "threshold_value": 8.0,
        "message": "Vibration went above the warning limit of 6 mm/s RMS at 2026-01-12 11:40 UTC; latest 8.4.",
        "cleared_at": None,
        "resolved_at": None,
        "resolved_by": None,
        "withdrawn_at": None,
    } | more


def a_message(*rows: dict[str, Any]) -> Message:
    """Return a message after its way through the database, which keeps JSON."""
    return json.loads(json.dumps(wording.of_alerts(rows or (a_row(),), at=NOW)))


def test_a_letter_says_what_is_wrong_since_when_there_and_what_to_do() -> None:
    letter = wording.letter(a_message(), "somebody@customer.example")

    assert letter.to == "somebody@customer.example"
    assert letter.subject == "[Altaviz] CRITICAL: vibration, COMP-003 at Karnes <City>"
    assert letter.text.splitlines()[1:5] == [
        a_row()["message"],
        "Since 2026-01-12 05:40 CST (UTC-6).",
        "Risk: A bearing, a coupling or the foundation is giving way; the machine may destroy itself.",
        "To do: Compare with the spectrum of last month; look at bearings, alignment and bolts; plan a stop.",
    ]


def test_no_name_makes_a_second_header() -> None:
    letter = wording.letter(a_message(a_row(station_name="A\r\nBcc: victim@elsewhere.example")), "a@customer.example")
    assert "\n" not in letter.subject
    assert "\r" not in letter.subject


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"cleared_at": NOW}, "Healthy again since 2026-01-12 06:00 CST (UTC-6)."),
        ({"resolved_by": "a@customer.example"}, "Resolved by a@customer.example."),
        ({"withdrawn_at": NOW, "cleared_at": NOW}, "Later readings showed that it never was."),
        ({}, "Resolved."),
    ],
    ids=str,
)
def test_what_is_over_says_how_it_ended(more: dict[str, Any], words: str) -> None:
    letter = wording.letter(a_message(a_row(occasion="resolved", resolved_at=NOW, **more)), "a@customer.example")
    assert letter.subject.startswith("[Altaviz] Over: vibration, COMP-003")
    assert words in letter.text.splitlines()


def test_what_nobody_acknowledged_says_so() -> None:
    text = wording.letter(a_message(a_row(escalated_at=NOW, critical_at=None)), "a@customer.example").text
    assert "It became critical because nobody acknowledged it." in text


def test_a_rule_that_is_in_no_file_is_told_by_its_name() -> None:
    letter = wording.letter(
        a_message(a_row(rule="station_silent", occasion="warning", sensor_name=None)), "a@b.example"
    )
    assert letter.subject == "[Altaviz] Warning: station silent, COMP-003 at Karnes <City>"
    assert "Risk" not in letter.text


@pytest.mark.parametrize(
    ("rows", "title"),
    [
        ([a_row(), a_row(occasion="warning")], "2 alerts of COMP-003, 1 critical"),
        ([a_row(), a_row(compressor_id="B"), a_row(occasion="resolved")], "3 alerts at 2 machines, 2 critical, 1 over"),
        ([a_row(occasion="warning"), a_row(occasion="warning")], "2 alerts of COMP-003"),
    ],
    ids=("of one machine", "of several", "warnings"),
)
def test_several_alerts_are_one_message_that_counts_them(rows: list[dict[str, Any]], title: str) -> None:
    message = a_message(*rows)
    assert (message["type"], wording.title(message)) == ("alerts", title)
    assert wording.letter(message, "a@b.example").text.count(a_row()["message"]) == len(rows)


def test_slack_gets_blocks_in_which_no_name_is_a_link_or_calls_everybody() -> None:
    post = wording.slack(a_message(a_row(station_name="<!channel> & <http://evil.example|here>")), URL)
    sent = json.loads(post.body)

    assert post.url == URL
    assert sent["text"] == ("CRITICAL: vibration, COMP-003 at &lt;!channel&gt; &amp; &lt;http://evil.example|here&gt;")
    header, section, context = sent["blocks"]
    assert header["text"]["type"] == "plain_text"
    assert "<" not in section["text"]["text"]
    assert context["elements"][0]["text"] == "Karnes Gas &amp; Co has Altaviz tell you this."


def test_slacks_limits_are_kept() -> None:
    rows = [a_row(station_name="x" * 500, message="y" * 5000) for _ in range(wording.MOST)]
    for message in (a_message(*rows), a_message(rows[0])):
        blocks = json.loads(wording.slack(message, URL).body)["blocks"]
        assert len(blocks) <= 50
        assert len(blocks[0]["text"]["text"]) <= 150
        assert all(len(block["text"]["text"]) <= 3000 for block in blocks[1:-1])


def test_teams_gets_an_adaptive_card() -> None:
    sent = json.loads(wording.teams(a_message(a_row(), a_row(occasion="resolved")), URL).body)

    (attachment,) = sent["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    card = attachment["content"]
    assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
    assert [block["color"] for block in card["body"] if "color" in block] == ["Attention", "Good"]
    assert all(block["type"] == "TextBlock" and block["wrap"] for block in card["body"])


def test_a_webhooks_signature_is_what_the_standards_own_library_expects() -> None:
    now = datetime.now(UTC)  # the library reads the machine's clock
    post = wording.webhook(a_message(), URL, delivery_id=DELIVERY, secrets=[SECRET, OTHER], now=now)

    for secret in (SECRET, OTHER):
        event = Webhook(secret).verify(post.body, dict(post.headers))
        assert event["type"] == "alert.critical"
        assert event["timestamp"] == NOW.isoformat()
        assert event["data"]["alert_id"] == str(UUID(int=1))
        assert event["data"]["unit"] == "mm/s RMS"
        assert event["data"]["organization_id"] == str(ORGANIZATION)
    assert post.headers["webhook-id"] == str(DELIVERY)
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_" + "SUpLTA" * 7 + "SQ==").verify(post.body, dict(post.headers))
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(post.body + b" ", dict(post.headers))


def test_at_another_attempt_only_time_and_signature_are_new() -> None:
    later = datetime(2026, 1, 12, 13, tzinfo=UTC)
    first, second = (
        wording.webhook(a_message(), URL, delivery_id=DELIVERY, secrets=[SECRET], now=now) for now in (NOW, later)
    )
    assert first.body == second.body
    changed = {name for name in first.headers if first.headers[name] != second.headers[name]}
    assert changed == {"webhook-timestamp", "webhook-signature"}
