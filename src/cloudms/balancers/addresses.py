"""Where a balancer listens when nobody says so: a loopback address of its own, which any Linux has without set-up."""

from __future__ import annotations

import errno
import socket
from binascii import crc32
from collections.abc import Iterator
from pathlib import Path

from cloudms.errors import Denied, Exists, Invalid, NotReady

_NETWORK = "127.87"
_TRIES = 200


def chosen(folder: Path, address: str, port: int) -> str:
    """Return an address on which a port is free: the given one, else one that the folder's path chooses.

    Raises: Exists (it is taken), Denied (the port is not for ordinary users), Invalid (no address of this machine).
    """
    for each in [address] if address else _own(folder):
        number = refusal(each, port)
        if number == 0:
            return each
        if number == errno.EACCES:
            raise Denied(f"port {port} needs more rights", hint="choose one above 1023")
        if address and number == errno.EADDRNOTAVAIL:
            raise Invalid(f"{address} is no address of this machine", hint="ip address shows which there are")
        if address:
            raise Exists(f"{address}:{port} is taken", hint="choose another port, or leave the address out")
    raise NotReady(f"no loopback address has a free port {port}", hint="ss -ltn shows who has them")


def _own(folder: Path) -> Iterator[str]:
    """Yield addresses for a folder, always in the same order."""
    first = crc32(str(folder).encode())
    for step in range(_TRIES):
        number = (first + step * 7919) % (254 * 254)
        yield f"{_NETWORK}.{number // 254 + 1}.{number % 254 + 1}"


def refusal(address: str, port: int) -> int:
    """Return why nothing can listen there (errno), 0 when something can."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
            probe.listen(1)
        except OSError as error:
            return error.errno or errno.EINVAL
    return 0
