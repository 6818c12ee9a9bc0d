"""Allowances and what is left of them: the generic cell rate algorithm, and the headers that tell a client.

One number is kept for each caller, the instant at which its allowance would be whole again. A request moves it on by
one interval, and is refused where it would then lie further ahead than the whole allowance takes to come back. After a
quiet minute a caller may spend all of it at once; then requests come back one interval after the other.
(ITU-T I.371, annex A; RateLimit headers as in draft-ietf-httpapi-ratelimit-headers.)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

WINDOW_SECONDS: Final = 60
SECOND: Final = 1_000_000
"""Instants here are whole microseconds since 1970: exact, and the same in every database."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """So many requests a minute; `name` is what the headers call it."""

    name: str
    requests: int

    @property
    def interval(self) -> int:
        """How long it takes one request to come back."""
        return max(1, WINDOW_SECONDS * SECOND // self.requests)

    @property
    def whole(self) -> int:
        """How long it takes all of them."""
        return self.interval * self.requests


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a request is admitted, and what is left; `whole_at` is when nothing will count any more."""

    allowance: Allowance
    admitted: bool
    whole_at: int
    now: int

    @property
    def remaining(self) -> int:
        """How many requests could follow at once."""
        if not self.admitted:
            return 0
        return max(0, (self.now + self.allowance.whole - self.whole_at) // self.allowance.interval)

    @property
    def whole_in(self) -> int:
        """Seconds until the allowance is whole again, rounded up."""
        return _seconds(self.whole_at - self.now)

    @property
    def retry_at(self) -> int:
        """When the next request will be admitted."""
        return self.whole_at + self.allowance.interval - self.allowance.whole

    @property
    def retry_after(self) -> int:
        """Seconds to wait, rounded up, for one more request; at least one."""
        return max(1, _seconds(self.retry_at - self.now))


def decide(allowance: Allowance, whole_at: int, *, now: int) -> Verdict:
    """Return whether one more request is admitted where the allowance would have been whole at `whole_at`."""
    moved = max(whole_at, now) + allowance.interval
    admitted = moved <= now + allowance.whole
    return Verdict(allowance, admitted, moved if admitted else whole_at, now)


def headers(verdicts: Sequence[Verdict]) -> dict[str, str]:
    """Return what tells a client its allowances and what is left of each; all in one value, for hosts keep only one."""
    return {
        "RateLimit-Policy": ", ".join(
            f'"{each.allowance.name}";q={each.allowance.requests};w={WINDOW_SECONDS}' for each in verdicts
        ),
        "RateLimit": ", ".join(f'"{each.allowance.name}";r={each.remaining};t={each.whole_in}' for each in verdicts),
    }


def _seconds(microseconds: int) -> int:
    return max(0, -(-microseconds // SECOND))
