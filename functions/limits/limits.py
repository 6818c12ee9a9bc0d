"""Who is counted how: every request by its address, and by its organization once that is known."""

from collections.abc import Callable
from datetime import datetime
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

from functions.limits.allowance import Allowance, Verdict
from functions.limits.counters import Counter, InMemory, InSql, microseconds
from functions.settings import Settings
from shared_code.database.engines import Database
from shared_code.errors import TooManyRequestsError
from shared_code.identifiers import OrganizationId

IPV6_PREFIX: Final = 64
"""What one customer of a provider gets at least: within it, they can take any address they like."""
MOST_REFUSALS: Final = 10_000


class Limits:
    """The allowances of one application, and where they are counted."""

    def __init__(self, settings: Settings, database: Callable[[], Database]) -> None:
        self._of_an_address = Allowance("address", settings.edge.altaviz_requests_per_minute)
        place = settings.edge.altaviz_requests_counted_in or ("memory" if settings.database.embedded else "sql")
        self._counter: Counter = InMemory() if place == "memory" else InSql(database)
        self._refused: dict[str, Verdict] = {}

    async def count_address(self, address: str | None, *, now: datetime) -> Verdict:
        """Count a request by the address that it came from."""
        return await self._counter.count(f"address {counted_address(address)}", self._of_an_address, now=now)

    async def count_organization(
        self, organization_id: OrganizationId, requests: int, *, credential: str, now: datetime
    ) -> Verdict:
        """Count a request by its organization, whose plan includes so many a minute."""
        allowance = Allowance("organization", requests)
        verdict = await self._counter.count(f"organization {organization_id}", allowance, now=now)
        if not verdict.admitted:
            if len(self._refused) >= MOST_REFUSALS:
                self._refused.clear()
            self._refused[credential] = verdict
        return verdict

    def find_refusal(self, credential: str, *, now: datetime) -> Verdict | None:
        """Return the refusal that still holds for a session or key: to repeat it, no database need be asked."""
        refusal = self._refused.get(credential)
        if refusal is None:
            return None
        instant = microseconds(now)
        if refusal.now <= instant < refusal.retry_at:
            return Verdict(refusal.allowance, admitted=False, whole_at=refusal.whole_at, now=instant)
        self._refused.pop(credential, None)
        return None


def refuse(verdict: Verdict) -> TooManyRequestsError:
    """Return the error of a request that is not admitted."""
    allowance, seconds = verdict.allowance, verdict.retry_after
    whose = {"address": "from your address", "organization": "of your organization"}[allowance.name]
    return TooManyRequestsError(
        f"more than {allowance.requests} requests a minute {whose}; try again in {seconds} s", retry_after=seconds
    )


def counted_address(address: str | None) -> str:
    """Return the address as it is counted: an IPv4 one written in either way as one, an IPv6 one by its network."""
    try:
        found = ip_address((address or "").partition("%")[0])
    except ValueError:
        return "unknown"  # nobody is let off for an address that is none
    if isinstance(found, IPv6Address):
        if found.ipv4_mapped is None:
            return str(ip_network((found, IPV6_PREFIX), strict=False))
        found = found.ipv4_mapped
    return str(found)
