"""Where workflows may send requests: names, ports, and every way in which an address can mean another one."""

import pytest

from bcce.workflows.destinations import Destination, Destinations, HostRule
from bcce.workflows.errors import HttpDestinationRefused, HttpUnreachable, InvalidHttpRequest
from bcce.workflows.exchange import Request

NAMED = Destination("https", "api.example.org", 443)


def resolving(*addresses: str, hosts: tuple[str, ...] = ("api.example.org",), networks: tuple[str, ...] = ()) -> Destinations:
    async def resolve(host: str, port: int) -> list[str]:
        return list(addresses)

    return Destinations(hosts, networks, resolve)


@pytest.mark.parametrize(
    ("rule", "url", "is_allowed"),
    [
        ("api.example.org", "https://api.example.org/x", True),
        ("api.example.org", "http://API.Example.ORG./x", True),
        ("API.example.org", "https://api.example.org", True),
        ("api.example.org", "https://api.example.org:8443", False),
        ("api.example.org", "http://api.example.org:443", False),
        ("api.example.org:8443", "https://api.example.org:8443", True),
        ("api.example.org:8443", "https://api.example.org", False),
        ("api.example.org", "https://evil-api.example.org", False),
        ("api.example.org", "https://api.example.org.evil.test", False),
        ("*.example.org", "https://a.b.example.org", True),
        ("*.example.org", "https://example.org", False),
        ("*.example.org", "https://notexample.org", False),
        ("127.0.0.1:8080", "http://127.0.0.1:8080", True),
        ("127.0.0.1:8080", "http://127.1:8080", False),
        ("127.0.0.1:8080", "http://[::ffff:127.0.0.1]:8080", False),
        ("[::1]:8080", "http://[0:0::1]:8080", True),
        ("xn--bcher-kva.example", "https://bücher.example/", True),
        ("localhost", "http://localhost:8080", False),
    ],
)
def test_a_host_has_to_be_on_the_list_with_its_port(rule: str, url: str, is_allowed: bool) -> None:
    destinations = resolving(hosts=(rule,))
    if is_allowed:
        destinations.check(Request(method="GET", url=url).destination)
        return
    with pytest.raises(HttpDestinationRefused, match=r"workflows may not send requests"):
        destinations.check(Request(method="GET", url=url).destination)


def test_an_empty_list_allows_nothing_not_even_this_machine() -> None:
    with pytest.raises(HttpDestinationRefused) as caught:
        resolving(hosts=()).check(Destination("http", "127.0.0.1", 80))

    assert caught.value.hint == "an operator can add 127.0.0.1:80 to workflows.http.allowedHosts"
    assert (caught.value.code, caught.value.retryable) == ("http-destination-refused", False)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://api.example.org/",
        "file:///etc/passwd",
        "//api.example.org",
        "https://",
        "x",
        "gopher://a",
        "https://u:p@a.org",
        "http://[::1",
    ],
)
def test_what_is_no_web_address_is_refused(url: str) -> None:
    with pytest.raises(InvalidHttpRequest):
        assert Request(method="GET", url=url).destination


@pytest.mark.parametrize("text", ["", "*", "https://a.org", "a.org/x", "a.org:0", "a.org:99999", "*.*.org", "[::1", "[zz]", "-a.org"])
def test_an_entry_that_is_no_host_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        HostRule.parse(text)


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.8.9.1", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "169.254.1.1"),  # noqa: S104 - an address to refuse
        *("100.64.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "198.18.0.1", "192.0.2.1"),
        *("::1", "::", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1", "fec0::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2002:a00:1::"),
        *("2001:0:4136:e378:8000:63bf:80ff:fffe", "fe80::1%eth0"),
    ],
)
async def test_a_name_with_an_address_that_is_not_public_is_refused(address: str) -> None:
    with pytest.raises(HttpDestinationRefused, match="is not a public one"):
        await resolving(address).addresses(NAMED)


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:4700::1111", "64:ff9b::5db8:d822", "::ffff:93.184.216.34"])
async def test_a_name_with_a_public_address_is_allowed(address: str) -> None:
    assert await resolving(address).addresses(NAMED) == [address]


async def test_one_bad_address_among_good_ones_is_enough() -> None:
    """Else whoever owns the name could have some of the tries go inside."""
    with pytest.raises(HttpDestinationRefused, match=r"10\.0\.0\.1"):
        await resolving("93.184.216.34", "10.0.0.1").addresses(NAMED)


@pytest.mark.parametrize(("address", "network"), [("10.1.2.3", "10.1.0.0/16"), ("::ffff:10.1.2.3", "10.1.0.0/16"), ("fd00::5", "fd00::/8")])
async def test_an_operator_can_allow_a_network_that_is_not_public(address: str, network: str) -> None:
    assert await resolving(address, networks=(network,)).addresses(NAMED) == [address]


async def test_the_clouds_credentials_are_only_reached_when_listed_alone() -> None:
    with pytest.raises(HttpDestinationRefused):
        await resolving("169.254.169.254", networks=("169.254.0.0/16",)).addresses(NAMED)

    assert await resolving("169.254.169.254", networks=("169.254.169.254/32",)).addresses(NAMED) == ["169.254.169.254"]


async def test_an_address_that_stands_in_the_list_needs_no_network_and_no_resolver() -> None:
    assert await resolving(hosts=("127.0.0.1:80",)).addresses(Destination("http", "127.0.0.1", 80)) == ["127.0.0.1"]


async def test_a_name_without_an_address_can_be_tried_again() -> None:
    async def fails(host: str, port: int) -> list[str]:
        raise OSError("no such name")

    for destinations in (resolving(), Destinations(("api.example.org",), (), fails)):
        with pytest.raises(HttpUnreachable) as caught:
            await destinations.addresses(NAMED)
        assert (caught.value.code, caught.value.retryable) == ("http-unreachable", True)


async def test_the_name_is_judged_before_anybody_is_asked_for_its_address() -> None:
    """A lookup alone tells the owner of a name that somebody is there, and can carry data out."""
    asked: list[str] = []

    async def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["93.184.216.34"]

    with pytest.raises(HttpDestinationRefused):
        await Destinations(("other.example",), (), resolve).addresses(NAMED)
    assert asked == []
