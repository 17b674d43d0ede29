"""How a VM is reached, and the private network between VMs.

User mode (the default) needs no rights and no set-up: QEMU itself is the guest's router, and each VM gets a loopback
address of its own on this machine (all of 127.0.0.0/8 is local on Linux), from which ports are forwarded into the
guest: 127.77.3.4:2222 leads to its SSH. On a hypervisor elsewhere the forwards are on that machine's address, a port
for each VM. `NAME` or `bridge:NAME` is a network or bridge of libvirt there, with an address of its own for each VM.

`private` adds a second card: a network among the VMs of one owner on one machine, carried by multicast on the loopback
device. It needs no rights, nothing of it leaves the machine (both seen in two guests that ping each other while no
other device sends a packet), and each VM has there the static address 10.77.x.y. It is a convenience, not a wall:
another account of the same machine that knows group and port could listen.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from cloudms.errors import Invalid, NotReady
from cloudms.record import Record

SSH_PORT = 2222
LOOPBACK = "127.77"
PRIVATE = "10.77"
PRIVATE_PREFIX = 16
GROUP_PORT = 17077
REMOTE_PORTS = (20000, 30000)
ATTEMPTS = 64
UNPRIVILEGED = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")

Endpoint = tuple[str, int]
"""An address and a port of the hypervisor."""


class Choice(Record):
    """What was asked for as `network`: where the first card leads (`source`), and whether there is a private one."""

    source: str = "user"
    private: bool = False


def parse(network: str) -> Choice:
    """Return what a network name means: empty, `user`, `private`, `bridge:NAME`, or the NAME of a libvirt network."""
    if network in ("", "user"):
        return Choice()
    if network == "private":
        return Choice(private=True)
    return Choice(source=network if network.startswith("bridge:") else f"network:{network}")


def mac(token: str, card: int) -> str:
    """Return the address of a VM's card (0, 1 …), in QEMU's range 52:54:00."""
    digest = sha256(f"{token}/{card}".encode()).digest()
    return "52:54:00:" + ":".join(f"{byte:02x}" for byte in digest[:3])


def hosts(token: str) -> Iterator[str]:
    """Yield the last two numbers of the addresses a VM tries, the same for the same token."""
    for attempt in range(ATTEMPTS):
        digest = sha256(f"{token}#{attempt}".encode()).digest()
        yield f"{digest[0] % 255}.{digest[1] % 254 + 1}"


def endpoints(token: str, outside: str = "") -> Iterator[Endpoint]:
    """Yield where a VM's SSH could be forwarded from, best first.

    Parameters: `outside`, the address of a hypervisor elsewhere: one address, a port for each VM. Else each VM gets an
    address, and when every one of them is refused (another program has the port on all addresses) other ports.
    """
    if outside:
        first, last = REMOTE_PORTS
        start = int.from_bytes(sha256(token.encode()).digest()[:4], "big")
        yield from ((outside, first + (start + attempt) % (last - first)) for attempt in range(ATTEMPTS))
        return
    yield from ((f"{LOOPBACK}.{host}", SSH_PORT) for host in hosts(token))
    yield from ((f"{LOOPBACK}.{host}", SSH_PORT + 20000) for host in hosts(token))


def choose(candidates: Iterable[Endpoint], taken: set[Endpoint], *, probe: bool) -> Endpoint | None:
    """Return the first endpoint that no VM has and (with `probe`) that can be bound here, or None."""
    for endpoint in candidates:
        if endpoint not in taken and (not probe or bindable(*endpoint)):
            return endpoint
    return None


def bindable(address: str, port: int) -> bool:
    """Whether a program of this machine could listen there now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True


def private_address(token: str, taken: set[str]) -> str:
    """Return a free address of the private network for a VM."""
    free = (f"{PRIVATE}.{host}" for host in hosts(token) if f"{PRIVATE}.{host}" not in taken)
    return next(free, f"{PRIVATE}.255.{len(taken) % 254 + 1}")


def group(owner: str) -> Endpoint:
    """Return the multicast group and port that carry the private network of `owner`."""
    digest = sha256(f"private/{owner}".encode()).digest()
    return f"239.77.{digest[0]}.{digest[1]}", GROUP_PORT + digest[2]


def address_of(uri: str) -> str:
    """Return the IPv4 address of the machine in a libvirt URI. Raises: NotReady (its name has none)."""
    name = uri.partition("://")[2].partition("/")[0].rpartition("@")[2].partition(":")[0]
    with suppress(OSError):
        if name:
            return socket.gethostbyname(name)
    raise NotReady(f"the machine of {uri} has no address", hint="set forward_address of this cloud")


def check_address(address: str) -> str:
    """Return an IPv4 address in its plain form. Raises: Invalid."""
    try:
        return socket.inet_ntoa(socket.inet_pton(socket.AF_INET, address))
    except OSError:
        raise Invalid(f"'{address}' is not an IPv4 address", hint=f"for instance {LOOPBACK}.0.6") from None


def check_ports(ports: Iterable[tuple[int, int]], *, local: bool) -> dict[int, int]:
    """Return host port → guest port. Raises: Invalid (out of range, or a host port QEMU may not take)."""
    found = {int(port): int(guest) for port, guest in ports}
    first = _first_open_port() if local else 1024
    for port, guest in found.items():
        if not (0 < port < 65536 and 0 < guest < 65536):
            raise Invalid(f"{port}:{guest} is not a pair of ports", hint="host port, then guest port, 1 to 65535")
        if port < first:
            raise Invalid(
                f"port {port} cannot be forwarded: QEMU runs without rights and may take ports from {first} on",
                hint=f"use port {port + 8000}, or as root: sysctl net.ipv4.ip_unprivileged_port_start={port}",
            )
    return found


def _first_open_port() -> int:
    try:
        return int(UNPRIVILEGED.read_text())
    except (OSError, ValueError):
        return 1024
