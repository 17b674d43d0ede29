"""The connection to libvirt: opened when first needed, shared by threads, opened again when it died."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, cast

from cloudms.clock import Clock
from cloudms.clouds.base import Setup
from cloudms.clouds.libvirt import host
from cloudms.clouds.libvirt.errors import translate
from cloudms.errors import MissingExtra

P = ParamSpec("P")
R = TypeVar("R")

KEEPALIVE = (5, 3)
"""Seconds between two questions, and how many may stay unanswered, to a hypervisor on another machine."""

_events = threading.Lock()


def sdk() -> Any:
    """Import libvirt when it is first needed. Raises: MissingExtra."""
    try:
        import libvirt
    except ImportError:
        raise MissingExtra("libvirt", why="a libvirt cloud") from None
    return libvirt


def qemu_sdk() -> Any:
    """Import libvirt's QEMU part: the monitor and the guest agent. Raises: MissingExtra."""
    try:
        import libvirt_qemu
    except ImportError:
        raise MissingExtra("libvirt", why="a libvirt cloud") from None
    return libvirt_qemu


class Link:
    """One connection to the libvirt at `uri`, usable from several threads at once."""

    def __init__(self, uri: str, clock: Clock, setup: Setup) -> None:
        self.uri, self._login = host.divided(uri)
        self.clock = clock
        self.setup = setup
        self.local = host.is_local(self.uri)
        self._lock = threading.Lock()
        self._conn: Any = None

    def open(self) -> Any:
        """Return the living connection, made when there is none. Raises: NotReady, Denied, MissingExtra."""
        with self._lock:
            if self._conn is not None and _alive(self._conn):
                return self._conn
            self._conn = self._connect()
            return self._conn

    def lost(self) -> bool:
        """Whether the connection has died."""
        with self._lock:
            return self._conn is not None and not _alive(self._conn)

    def close(self) -> None:
        """Give the connection back."""
        with self._lock:
            conn, self._conn = self._conn, None
        if conn is not None and _alive(conn):
            conn.close()

    def ready_to_start(self) -> None:
        """See to the daemons that a start needs beside the one that is connected (the console's logger)."""
        host.ensure_daemon(self.uri, clock=self.clock)

    def _connect(self) -> Any:
        libvirt = sdk()
        libvirt.registerErrorHandler(_quiet, None)
        host.ensure_daemon(self.uri, clock=self.clock)
        if not self.local and not self.uri.startswith("test:"):
            _start_events(libvirt)
        try:
            conn = self._open(libvirt)
            if not self.local and not self.uri.startswith("test:"):
                conn.setKeepAlive(*KEEPALIVE)
        except libvirt.libvirtError as error:
            raise translate(error, self.uri) from error
        return conn

    def _open(self, libvirt: Any) -> Any:
        """Open with the configured user and password when there are any, else by what the transport proves."""
        secrets = {**self._login, **self.setup.credentials()}
        uri = no_questions(self.uri)
        if not secrets.get("password"):
            return libvirt.open(uri)
        wanted = [libvirt.VIR_CRED_AUTHNAME, libvirt.VIR_CRED_PASSPHRASE]

        def answer(asked: list[list[Any]], _data: Any) -> int:
            for question in asked:
                name = "username" if question[0] == libvirt.VIR_CRED_AUTHNAME else "password"
                question[4] = secrets.get(name, "")
            return 0

        return libvirt.openAuth(uri, [wanted, answer, None], 0)


def no_questions(uri: str) -> str:
    """Return `uri` such that an SSH transport fails where it would ask the terminal."""
    scheme = uri.partition("://")[0]
    if "ssh" not in scheme or "no_tty=" in uri:
        return uri
    return f"{uri}{'&' if '?' in uri else '?'}no_tty=1"


def _alive(conn: Any) -> bool:
    try:
        return bool(conn.isAlive())
    except sdk().libvirtError:
        return False  # it was closed


def _quiet(_context: Any, _error: Any) -> None:
    """Keep libvirt from writing errors to stderr: they are raised."""


def _start_events(libvirt: Any) -> None:
    """Run libvirt's event loop in a thread: without it no keep-alive notices that the other machine is gone."""
    with _events:
        if any(thread.name == "libvirt-events" for thread in threading.enumerate()):
            return
        libvirt.virEventRegisterDefaultImpl()

        def turn() -> None:
            while True:
                libvirt.virEventRunDefaultImpl()

        threading.Thread(target=turn, name="libvirt-events", daemon=True).start()


class HasLink(Protocol):
    """What `talks` needs of its class."""

    link: Link


S = TypeVar("S", bound=HasLink)


def talks(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
    """Wrap a method that talks to libvirt: its errors become ours, and a lost connection is opened again once.

    Repeating is safe because every call of a cloud is idempotent.
    """

    @wraps(method)
    def call(self: S, *args: P.args, **kwargs: P.kwargs) -> R:
        failure = sdk().libvirtError
        try:
            return method(self, *args, **kwargs)
        except failure as error:
            if not self.link.lost():
                raise translate(error, self.link.uri) from error
        try:
            return method(self, *args, **kwargs)
        except failure as error:
            raise translate(error, self.link.uri) from error

    return cast("Callable[Concatenate[S, P], R]", call)
