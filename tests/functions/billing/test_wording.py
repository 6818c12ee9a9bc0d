"""What owners are told of their bill."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from functions.billing.wording import money, payment_failed

UNTIL = datetime(2026, 1, 19, 18, tzinfo=UTC)
FAILURE: dict[str, Any] = {
    "organization_name": "Permian\r\nBcc: x@y.example",
    "amount_cents": 19900,
    "currency": "usd",
    "attempt": 2,
    "grace_until": UNTIL,
    "noticed_at": UNTIL - timedelta(days=4),
}


@pytest.mark.parametrize(
    ("cents", "currency", "written"),
    [(4900, "usd", "49.00 USD"), (1_234_567, "eur", "12,345.67 EUR"), (490, "jpy", "490 JPY"), (5, "usd", "0.05 USD")],
)
def test_money_is_written_as_people_write_it(cents: int, currency: str, written: str) -> None:
    assert money(cents, currency) == written


def test_a_failed_payment_says_what_follows_and_what_to_do() -> None:
    letter = payment_failed(FAILURE, email="owner@x.example", public_url="https://altaviz.example")

    assert letter.to == "owner@x.example"
    assert letter.subject == "[Altaviz] A payment of Permian Bcc: x@y.example failed"
    assert "199.00 USD" in letter.text
    assert "(attempt 2)" in letter.text
    assert "stays as it is until 2026-01-19 18:00 UTC" in letter.text
    assert "readings are kept as they are now for 30 days more" in letter.text
    assert "https://altaviz.example/billing" in letter.text


@pytest.mark.parametrize("changes", [{"grace_until": None}, {"noticed_at": UNTIL}])
def test_where_grace_is_over_it_says_so(changes: dict[str, Any]) -> None:
    letter = payment_failed(FAILURE | changes, email="x@y.example", public_url="https://altaviz.example")

    assert "is on Free until the invoice is paid" in letter.text
    assert "stays as it is" not in letter.text
