"""Which machine a target is on, however its entry in the configuration is written. Pure: asks no name server."""

import contextlib
import ipaddress
import re
import socket
from typing import Final

from bcce.kit.text import digest

#: The machine that BCCE runs on.
THIS_MACHINE: Final = "this machine"

_SCHEME = re.compile(r"^[a-z][a-z0-9+.-]*://")
_PORT = re.compile(r":[0-9]*$")
_LOOPBACK_NAMES = frozenset({"", "localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback"})
#: Forms of IPv4 addresses that programs take besides four decimal numbers: `127.1`, `0x7f000001`.
_NUMERIC = re.compile(r"^[0-9a-fx.]+$")


def machine_of(executor: str, address: str | None) -> str:
    """What identifies the machine behind `address`: the same text for every spelling of one host.

    Upper and lower case, a trailing dot, a user, a port, a path, brackets and all forms of an IP address make no difference. Neither does
    the port, nor the executor that reaches it: behind another port there may be a container, but more often there is the same machine.
    Without an address, at a loopback address, or with the executor `local`, it is the machine that BCCE runs on. Two names of one machine
    that only a name server knows to be one are two machines here.
    """
    if executor == "local" or address is None:
        return THIS_MACHINE
    host = _SCHEME.sub("", address.strip().lower()).partition("/")[0].rpartition("@")[2]
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = _PORT.sub("", host)
    host = host.rstrip(".")
    found = _ip_address(host.partition("%")[0])
    if found is not None:
        return THIS_MACHINE if found.is_loopback or found.is_unspecified else str(found)
    if host in _LOOPBACK_NAMES or host.endswith(".localhost"):
        return THIS_MACHINE
    with contextlib.suppress(UnicodeError):  # what is no name for a name server stays as it is written
        host = host.encode("idna").decode("ascii")
    return host


def lock_keys(name: str, executor: str, address: str | None) -> tuple[str, ...]:
    """What is locked while a script runs on the target of that name, in a fixed order.

    The machine, so that two entries of one host, or an entry that was edited meanwhile, let no two scripts run at once; and the entry,
    because an edited address may be another name of the same host.
    """
    return tuple(sorted(digest(what.encode()) for what in (f"machine/{machine_of(executor, address)}", f"target/{name}")))


def _ip_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that `host` is a form of; an IPv4 address in IPv6 is that IPv4 address. None for a name."""
    with contextlib.suppress(ValueError):
        found = ipaddress.ip_address(host)
        return found.ipv4_mapped or found if isinstance(found, ipaddress.IPv6Address) else found
    if _NUMERIC.fullmatch(host):
        with contextlib.suppress(OSError):
            return ipaddress.IPv4Address(socket.inet_aton(host))
    return None
