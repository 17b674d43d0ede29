"""HAProxy as a balancer.

What is wanted is written down first (`book`) and then told to the process; `up` tells it everything again. A member
that is added starts as down and drained: its check runs, and no request comes to it before it was found well.
"""

from __future__ import annotations

import ipaddress
import os
import shutil
import socket
from binascii import crc32
from collections.abc import Callable, Mapping
from typing import ClassVar

from cloudms.balancers import book, probe
from cloudms.balancers.addresses import chosen, refusal
from cloudms.balancers.base import Balancer, Server, Stats
from cloudms.balancers.book import Book, Entry
from cloudms.balancers.haproxy import conf, daemon, told
from cloudms.balancers.haproxy.link import Link
from cloudms.errors import Exists, Invalid, NotReady

_START = 20.0
"""Seconds that a process which was started has to answer."""
_TRIES = 5
"""How often another address is taken when one was taken between looking and starting."""


class HaproxyBalancer(Balancer):
    """One HAProxy on this machine, run by whoever uses cloudms."""

    kind: ClassVar[str] = "haproxy"
    packages: ClassVar[Mapping[str, str]] = {daemon.PROGRAM: "haproxy"}

    def check_installed(self) -> None:
        """Refuse when there is no HAProxy. Raises: NotReady."""
        if daemon.find() is None:
            raise daemon.missing()

    def up(self) -> None:
        """Start it, change it to other settings, or leave it; then tell it every member."""
        self.check_installed()
        with book.locked(self.folder):
            for attempt in range(_TRIES):
                try:
                    self._start()
                    break
                except Exists:
                    if self.settings.address or attempt == _TRIES - 1:
                        raise
            with self._link() as link:
                for entry in book.read(self.folder).members.values():
                    self._tell(link, entry)

    def _start(self) -> None:
        now, running = book.read(self.folder), daemon.pid_of(self.folder)
        port, wanted = self.settings.port, self.settings.address
        stays = now.port == port and bool(now.address) and wanted in ("", now.address)
        # one that runs holds its address; one that died may find it taken by another program
        address = now.address if stays and running else chosen(self.folder, wanted or self._old(now), port)
        own = f"cms-{crc32(os.fsencode(self.folder.absolute())):08x}-{os.geteuid()}"
        text = conf.text(self.settings, address, port, own, user=daemon.account())
        file = self.folder / daemon.CONFIG
        if running and file.exists() and file.read_text() == text and self.is_up:
            return
        book.write(self.folder, now.with_(address=address, port=port))
        book.put(file, text)
        book.put(self.folder / conf.HOLD, conf.lua(self.settings))
        book.put(self.folder / conf.STATE, self._states() if running else "1\n")
        daemon.start(self.folder)
        now = book.read(self.folder)  # a process that has just started has counted nothing
        book.write(self.folder, now.having(*(entry.with_(before={}) for entry in now.members.values())))
        self._wait()

    def _old(self, now: Book) -> str:
        """Return the address it had, when nobody has taken it meanwhile."""
        free = now.address and now.port == self.settings.port and refusal(now.address, now.port) == 0
        return now.address if free else ""

    def _states(self) -> str:
        """Return the states of all slots, for the process that takes over. One that does not answer passes none on."""
        try:
            with self._link() as link:
                return link.ask("show servers state")
        except NotReady:
            return "1\n"

    def _wait(self) -> None:
        end = self.clock.monotonic() + _START
        while not self.is_up:
            if self.clock.monotonic() > end:
                raise NotReady(f"HAProxy does not answer within {_START:g} s", hint=f"see {self.folder}")
            self.clock.sleep(0.02)

    def down(self) -> None:
        """End its processes and remove its folder."""
        with book.locked(self.folder):
            daemon.stop(self.folder, self.clock)
            shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def is_up(self) -> bool:
        """Whether its process answers."""
        try:
            self._link().close()
        except NotReady:
            return False
        return True

    @property
    def address(self) -> tuple[str, int]:
        """Return where it listens, or did. Raises: NotReady (it was never up)."""
        return book.address(self.folder, self.name)

    def add(self, name: str, host: str, port: int, *, slots: int = 0) -> None:
        """Set a free slot to a member, checked and without requests."""
        book.check_member(name, host, port, slots)
        entry = Entry(name=name, host=resolved(host), port=port, slots=slots or self.settings.slots)
        self._change(name, lambda now, busy: now.placed(entry, self.settings.most, busy))

    def ready(self, name: str) -> None:
        """Let a slot take requests when its check passes.

        HAProxy looks at a slot that was off after an interval only, so we look once, and tell it when a member is well.
        """
        self._change(name, lambda now, _busy: now.wanting(name, "ready"))
        entry = book.read(self.folder).members.get(name)
        if entry is None or all(server.takes for server in self.servers() if server.name == name):
            return
        if probe.passes(entry.host, entry.port, self.settings.check):
            with book.locked(self.folder), self._link() as link:
                if book.read(self.folder).members.get(name) == entry:
                    link.do(f"set server {_slot(entry)} health up")

    def drain(self, name: str) -> None:
        """Let a slot take no more requests."""
        self._change(name, lambda now, _busy: now.wanting(name, "draining"))

    def remove(self, name: str) -> None:
        """Free a slot; what is under way there goes on."""
        with book.locked(self.folder), self._link() as link:
            entry = book.read(self.folder).members.get(name)
            if entry is not None:  # told first: a slot without a name would get requests for ever
                link.do(f"set server {_slot(entry)} state maint")
                book.write(self.folder, book.read(self.folder).without(name))

    def _change(self, name: str, change: Callable[[Book, frozenset[int]], Book]) -> None:
        with book.locked(self.folder), self._link() as link:
            now = book.read(self.folder)
            rows = {} if name in now.members else told.table(link.ask("show stat")).slots
            busy = frozenset(place for place, row in rows.items() if told.number(row, "scur"))
            after = change(now, busy)
            entry = after.member(name)
            if rows:  # its slot goes on counting from where the member before it has left
                entry = entry.with_(before=told.counts(rows.get(entry.place, {})))
            book.write(self.folder, after.having(entry))
            self._tell(link, entry)

    def _tell(self, link: Link, entry: Entry) -> None:
        """Bring a slot to what is written down of its member; one that is so already is not touched."""
        slot, now = _slot(entry), _state(link, entry)
        moved = now.address != entry.host or now.port != entry.port
        if moved or now.off:
            link.do(f"set server {slot} state maint")
            link.do(f"set server {slot} addr {entry.host} port {entry.port}")
            link.do(f"set server {slot} state drain")
            link.do(f"set server {slot} health down")  # until its check finds it well
        link.do(f"set maxconn server {slot} {entry.slots}")
        link.do(f"set server {slot} state {'ready' if entry.wanted == 'ready' else 'drain'}")

    def servers(self) -> list[Server]:
        """Return the members, as its table tells."""
        with self._link() as link:
            return self._servers(told.table(link.ask("show stat")))

    def stats(self, window: float = 10.0) -> Stats:
        """Return what its table and the log of its answers tell."""
        with self._link() as link:
            rows, log = told.table(link.ask("show stat")), link.ask(f"show events {conf.LOG}")
        return told.stats(self._servers(rows), rows, log, self.clock.now(), window)

    def _servers(self, rows: told.Table) -> list[Server]:
        members = sorted(book.read(self.folder).members.items())
        return [told.server(self.name, entry, rows.slots.get(entry.place, {})) for _name, entry in members]

    def _link(self) -> Link:
        return Link(self.folder, self.name)


def _slot(entry: Entry) -> str:
    return f"{conf.BACK}/{conf.SLOT}{entry.place}"


class _State:
    """What HAProxy has in a slot: where it leads, and whether it is off (not even checked)."""

    def __init__(self, words: Mapping[str, str]) -> None:
        self.address = words.get("srv_addr", "")
        self.port = int(words.get("srv_port", 0))
        self.off = bool(int(words.get("srv_admin_state", 1)) & 1)  # SRV_ADMF_FMAINT


def _state(link: Link, entry: Entry) -> _State:
    lines = link.ask(f"show servers state {conf.BACK}").splitlines()
    names = next((line.lstrip("# ").split() for line in lines if line.startswith("#")), [])
    wanted = f"{conf.SLOT}{entry.place}"
    rows = (dict(zip(names, line.split(), strict=False)) for line in lines if line and not line.startswith("#"))
    return _State(next((row for row in rows if row.get("srv_name") == wanted), {}))


def resolved(host: str) -> str:
    """Return the address of a host, since slots take no names. Raises: Invalid."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Invalid(f"'{host}' has no address", hint="give the address itself, such as 127.77.0.6") from None
    return str(found[0][4][0])
