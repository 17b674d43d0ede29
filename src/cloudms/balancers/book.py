"""What is written down of a balancer in its folder: where it listens, and its members with what is wanted of each.

It is what a process that comes later goes by, and what is brought back when the balancer's own process has died. It is
changed under a lock of the kernel (given back when its holder dies) and replaced as a whole, before anything is told to
the balancer: a call that was killed in between is ended by the same call again.
"""

from __future__ import annotations

import fcntl
import json
import os
import struct
from binascii import crc32
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cloudms import paths
from cloudms.balancers.settings import MOST_SLOTS
from cloudms.errors import Invalid, NoCapacity, NotFound, NotReady
from cloudms.record import Record

_LONGEST = 200


class Entry(Record):
    """A member: where it is reached, what is `wanted` (added, ready or draining), its `slots` at a time, its `place`
    among those that the balancer has, and what was counted there `before` it came.
    """

    name: str
    host: str
    port: int
    slots: int
    wanted: str = "added"
    place: int = 0
    before: Mapping[str, int] = {}


class Book(Record):
    """What is written down: `address` and `port` where it listens, `members` by name, `more` of a kind of its own."""

    address: str = ""
    port: int = 0
    members: Mapping[str, Entry] = {}
    more: Mapping[str, Any] = {}

    def __post_init__(self) -> None:
        """Accept plain JSON values."""
        members = self.members.items()
        self.__dict__["members"] = {n: e if isinstance(e, Entry) else Entry.from_document(e) for n, e in members}

    def to_document(self) -> dict[str, Any]:
        """Return it as a dict of JSON values."""
        return {**super().to_document(), "members": {name: entry.to_document() for name, entry in self.members.items()}}

    def member(self, name: str) -> Entry:
        """Return a member. Raises: NotFound."""
        if name not in self.members:
            known = ", ".join(sorted(self.members)[:10])
            raise NotFound(f"no member '{name}' is behind the balancer", hint=f"there are: {known or 'none'}")
        return self.members[name]

    def placed(self, entry: Entry, most: int, busy: frozenset[int] = frozenset()) -> Book:
        """Return the book with a member added, or at its old place when it is known.

        Parameters: `busy`, places whose last member still works, which are taken last. Raises: NoCapacity.
        """
        known = self.members.get(entry.name)
        if known is None:
            taken = {each.place for each in self.members.values()}
            free = [place for place in range(1, most + 1) if place not in taken]
            if not free:
                hint = "remove one, or give its balancer a larger 'most'"
                raise NoCapacity(f"the balancer has its {most} members", hint=hint)
            entry = entry.with_(place=min(free, key=lambda place: (place in busy, place)))
        else:
            entry = entry.with_(place=known.place, wanted=known.wanted, before=known.before)
        return self.having(entry)

    def having(self, *entries: Entry) -> Book:
        """Return the book with members as they are now."""
        return self.with_(members={**self.members, **{entry.name: entry for entry in entries}})

    def without(self, name: str) -> Book:
        """Return the book without a member."""
        return self.with_(members={key: entry for key, entry in self.members.items() if key != name})

    def wanting(self, name: str, wanted: str) -> Book:
        """Return the book with something else wanted of a member. Raises: NotFound."""
        return self.having(self.member(name).with_(wanted=wanted))


def check_member(name: str, host: str, port: int, slots: int) -> None:
    """Refuse what names no member, no place where one is reached, or no number of slots. Raises: Invalid."""
    plain = name.isascii() and name.isprintable() and not set(name) & set(" /;,\"'\\#")
    if not name or not plain or len(name) > _LONGEST:
        raise Invalid(f"{name!r} is no name of a member", hint="letters, digits, dots and dashes")
    if not host or not host.isascii() or not host.isprintable() or set(host) & set(" /;,\"'\\#"):
        raise Invalid(f"{host!r} is no address of a member", hint="for instance 127.77.0.6")
    check_service(port, slots)


def check_service(port: int, slots: int) -> None:
    """Refuse what is no port or no number of slots; 0 slots: as the settings say. Raises: Invalid."""
    if not 0 < port < 65536:
        raise Invalid(f"{port} is no port", hint="for instance 8080")
    if not 0 <= slots <= MOST_SLOTS:
        raise Invalid(f"{slots} is no number of slots", hint=f"1 to {MOST_SLOTS}, such as 4")


def read(folder: Path) -> Book:
    """Return what is written down, nothing where nothing is. Raises: NotReady (it cannot be read)."""
    try:
        return Book.from_document(json.loads((folder / "book.json").read_bytes()))
    except FileNotFoundError:
        return Book()
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise NotReady(
            f"{folder / 'book.json'} cannot be read: {error}", hint="end the balancer and make it anew"
        ) from None


def write(folder: Path, book: Book) -> Book:
    """Replace what is written down, and return it. Raises: NotReady (the disk is full, or not ours)."""
    try:
        put(folder / "book.json", json.dumps(book.to_document()))
    except OSError as error:
        raise NotReady(f"{folder} cannot be written: {error.strerror}", hint="cms doctor") from None
    return book


def put(path: Path, text: str) -> None:
    """Write a file that only its owner reads, whole or not at all. Raises: OSError."""
    paths.private(path.parent)
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    beside.rename(path)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the right to change a balancer; who holds it waits for nothing but the balancer, so others wait for it.

    The lock is a byte that the folder's name chooses, of a file beside the folders; threads exclude each other, too.
    """
    paths.private(folder.parent)
    request = struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, crc32(folder.name.encode()), 1, 0)
    with os.fdopen(os.open(folder.parent / "locks", os.O_RDWR | os.O_CREAT, 0o600), "r+b") as handle:
        fcntl.fcntl(handle, fcntl.F_OFD_SETLKW, request)
        yield


def address(folder: Path, name: str) -> tuple[str, int]:
    """Return where the balancer of a group listens, or did. Raises: NotReady (it was never up)."""
    now = read(folder)
    if not now.port:
        raise NotReady(f"the balancer of '{name}' was never up", hint=f"cms balancer start {name}")
    return now.address, now.port
