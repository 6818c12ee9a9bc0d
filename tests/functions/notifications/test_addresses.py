"""Where customers' URLs may lead."""

from ipaddress import ip_network

import pytest

from functions.notifications.addresses import may_be_reached

INSIDE = [
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",  # noqa: S104 - nothing is bound
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",
    "169.254.169.254",
    "168.63.129.16",
    "192.0.2.1",
    "198.18.0.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "2001:db8::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "2001:0:4136:e378:8000:63bf:80ff:fffe",  # Teredo, of 127.0.0.1
    "localhost",
    "",
    "0x7f000001",
    "2130706433",
    "127.1",
    "010.0.0.1",
]


@pytest.mark.parametrize("address", INSIDE)
def test_nothing_inside_is_reached(address: str) -> None:
    assert not may_be_reached(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "168.63.129.15", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_the_public_internet_is(address: str) -> None:
    assert may_be_reached(address)


def test_a_network_of_the_installations_own_is_where_it_says_so() -> None:
    private = [ip_network("127.0.0.0/8")]
    assert may_be_reached("127.0.0.1", private=private)
    assert may_be_reached("::ffff:127.0.0.1", private=private)
    assert not may_be_reached("10.0.0.1", private=private)
    assert not may_be_reached("::1", private=private)
