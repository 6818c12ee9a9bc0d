"""Where a customer's URL may lead: to the public internet, and nowhere inside."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

NOT_FOR_CUSTOMERS: Final[tuple[Network, ...]] = (
    ip_network("168.63.129.16/32"),  # Azure's platform answers there, to its own machines
    ip_network("64:ff9b::/96"),  # leads to any IPv4 address, behind a translator
    ip_network("64:ff9b:1::/48"),
    ip_network("fec0::/10"),  # a site's own, of old
)
"""Addresses that Python takes for public and that are none of a customer's."""


def may_be_reached(address: str, *, private: Sequence[Network] = ()) -> bool:
    """Whether a customer's message may be sent to an IP address.

    Args:
        address: as the resolver gives it, with or without a zone.
        private: networks of the installation's own that are allowed all the same.
    """
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    meant = _meant(found)
    if any(meant in network for network in private):
        return True
    forbidden = meant.is_multicast or any(meant in network for network in NOT_FOR_CUSTOMERS)
    return meant.is_global and not forbidden


def _meant(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address carries, where it does."""
    if isinstance(address, IPv4Address):
        return address
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else None) or address
