"""Where workflows may send requests: the host has to be on the operator's list, and the address behind its name has to be a public one.

The name is judged before it is resolved and the address before it is connected to; the caller then connects to exactly that address, so
that a name which changes its address in between (DNS rebinding) wins nothing.
"""

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from bcce.workflows.errors import HttpDestinationRefused, HttpUnreachable

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
#: Gives the addresses of a name, as texts; raises OSError when there are none.
Resolve = Callable[[str, int], Awaitable[list[str]]]

DEFAULT_PORTS = {"http": 80, "https": 443}
#: Where clouds hand out credentials to whoever asks from inside: only allowed when listed alone, not as part of a network.
_METADATA = frozenset(map(ip_address, ("169.254.169.254", "169.254.170.2", "169.254.170.23", "100.100.100.200", "fd00:ec2::254")))
_NAT64 = ip_network("64:ff9b::/96")
_GLOBAL_UNICAST = ip_network("2000::/3")
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_RULE = re.compile(rf"(?P<host>(?:\*\.)?{_LABEL}(?:\.{_LABEL})*|\[[0-9a-f:.]+\])(?::(?P<port>\d{{1,5}}))?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Destination:
    """One scheme, host and port. `host` is in lower case and ASCII, an IPv6 address without brackets."""

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """`host` or `host:port`, as it stands in a URL."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def literal(self) -> Address | None:
        """The address, if the host is one."""
        return _address(self.host)


@dataclass(frozen=True, slots=True)
class HostRule:
    """One entry of the list of allowed hosts. `port` None: the scheme's own port, 80 or 443."""

    host: str
    port: int | None

    @classmethod
    def parse(cls, text: str) -> "HostRule":
        """The rule that is written as `host`, `host:port`, `*.domain`, `*.domain:port`, `1.2.3.4:8080` or `[::1]:8080`.

        Raises:
            ValueError: it is none of these.
        """
        match = _RULE.fullmatch(text)
        port = int(match["port"]) if match and match["port"] else None
        if match is None or (port is not None and not 0 < port < 65536):
            raise ValueError(f"{text!r} is not a host such as api.example.org, *.example.org, 10.0.0.5:8080 or [fd00::1]:8443")
        host = match["host"].lower()
        if host.startswith("["):
            host = str(IPv6Address(host.strip("[]")))
        return cls(host, port)

    def covers(self, destination: Destination) -> bool:
        """Whether requests may go there, as far as the name tells."""
        if destination.port != (self.port or DEFAULT_PORTS[destination.scheme]):
            return False
        if self.host.startswith("*."):
            return destination.literal is None and destination.host.endswith(self.host[1:])
        return destination.host == self.host


class Destinations:
    """The operator's list.

    `networks` are ranges that may be reached by name although they are not public. An address that stands in `hosts` itself is allowed.
    """

    def __init__(self, hosts: Sequence[str], networks: Sequence[str], resolve: Resolve | None = None) -> None:
        self._rules = [HostRule.parse(text) for text in hosts]
        self._networks: list[Network] = [ip_network(text) for text in networks]
        self._resolve = resolve or _system_resolve

    def check(self, destination: Destination) -> None:
        """Does nothing for an allowed host. Does no I/O.

        Raises:
            HttpDestinationRefused: it is not on the list.
        """
        if not any(rule.covers(destination) for rule in self._rules):
            raise HttpDestinationRefused(
                f"workflows may not send requests to {destination.authority}",
                hint=f"an operator can add {destination.host}:{destination.port} to workflows.http.allowedHosts",
                details={"host": destination.host, "port": destination.port},
            )

    async def addresses(self, destination: Destination) -> list[str]:
        """The addresses to connect to, each of them judged; resolves the name.

        Raises:
            HttpDestinationRefused: the host is not on the list, or one of its addresses is not public and not in `networks`.
            HttpUnreachable: the name has no address.
        """
        self.check(destination)
        if destination.literal is not None:
            return [str(destination.literal)]
        try:
            found = await self._resolve(destination.host, destination.port)
        except OSError as error:
            raise HttpUnreachable(f"the name {destination.host} cannot be resolved") from error
        if not found:
            raise HttpUnreachable(f"the name {destination.host} has no address")
        for text in found:
            if not self._is_allowed(ip_address(text)):
                raise HttpDestinationRefused(
                    f"{destination.host} has the address {text}, which is not a public one",
                    hint="if the host belongs there, an operator can add the address to workflows.http.allowedNetworks",
                    details={"host": destination.host, "address": text},
                )
        return found

    def _is_allowed(self, given: Address) -> bool:
        address = _inner(given)
        if address in _METADATA:
            return any(network.num_addresses == 1 and address in network for network in self._networks)
        if any(address in network for network in self._networks):
            return True
        if isinstance(address, IPv6Address) and address not in _GLOBAL_UNICAST:
            return False
        return address.is_global and not (address.is_multicast or address.is_reserved)


def _inner(address: Address) -> Address:
    """The IPv4 address that an IPv6 address stands for, in each of the ways in which it can."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None) or _without_scope(address)


def _without_scope(address: IPv6Address) -> IPv6Address:
    return IPv6Address(int(address))


def _address(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


async def _system_resolve(host: str, port: int) -> list[str]:
    """What the system's resolver says, which also knows its hosts file."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(item[4][0]) for item in found))
