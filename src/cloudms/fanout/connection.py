"""Connections by asyncssh: the key of the VM, its pinned host key, the person's ~/.ssh/config for the rest."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloudms.errors import Denied, MissingExtra
from cloudms.fanout.again import TurnedAway, again
from cloudms.fanout.faults import changed, local
from cloudms.fanout.host import Host, jumps
from cloudms.fanout.pins import Pins
from cloudms.fanout.talk import Link, Talk

if TYPE_CHECKING:
    import asyncssh

ALIVE_S, ALIVE_TIMES = 15, 3
"""A connection that says nothing for so many seconds, so many times, is given up."""
_OURS = {"gss_kex": False, "gss_auth": False, "agent_forwarding": False, "x11_forwarding": False}


class Ssh:
    """Makes connections.

    Parameters: `config`, the person's ssh_config(5), of which asyncssh takes what it knows: ProxyJump, ProxyCommand,
    HostName, ciphers.
    """

    def __init__(self, config: Path | None = None) -> None:
        try:
            import asyncssh
        except ImportError:
            raise MissingExtra("ssh", why="reaching many hosts at once") from None
        asyncssh.set_log_level("CRITICAL")
        self._asyncssh: Any = asyncssh
        self._pins = Pins()
        self._keys: dict[tuple[str, int], Any] = {}
        file = config or Path.home() / ".ssh" / "config"
        text = _text(file)
        self._config = None if text is None else [str(file)]
        self._leads = "proxyjump" in (text or "").lower()

    def jumps(self, host: Host) -> tuple[Host, ...]:
        """Return the hosts that lead to `host`: its own, else those that ~/.ssh/config has for its address."""
        if host.jump or not self._leads:
            return host.jump
        options = self._asyncssh.SSHClientConnectionOptions(host=host.address, config=self._config, client_keys=None)
        return jumps(options.tunnel) if isinstance(options.tunnel, str) else ()

    async def connect(self, host: Host, through: Link | None, seconds: float) -> Link:
        """Connect, several times where the host has too many at once.

        Raises: OSError, asyncssh's errors, TurnedAway, Denied (another host key, a key that cannot be used).
        """
        pinned = self._pins.of(host.alias) if host.alias else []
        link = await again(lambda left: self._once(host, through, pinned, left), seconds)
        if host.alias and not pinned:
            await self._first(host, link)
        return link

    async def _once(self, host: Host, through: Link | None, pinned: list[str], seconds: float) -> _Link:
        """Connect once. Raises: TurnedAway (it was closed before the host greeted), and the others."""
        greeting = _greeting()()
        try:
            connection = await self._asyncssh.connect(
                host.address,
                host.port or (),
                username=host.login or (),
                tunnel=through.connection if isinstance(through, _Link) else None,
                config=self._config,
                keepalive_interval=ALIVE_S,
                keepalive_count_max=ALIVE_TIMES,
                connect_timeout=seconds,
                login_timeout=max(seconds, 1),
                preferred_auth=("publickey",),
                client_factory=lambda: greeting,
                **self._trust(host, pinned),
                **self._identity(host),
                **_OURS,
            )
        except (self._asyncssh.ConnectionLost, ConnectionResetError, ConnectionAbortedError, BrokenPipeError) as error:
            if greeting.heard:
                raise
            raise TurnedAway(error) from None
        return _Link(connection)

    def _trust(self, host: Host, pinned: list[str]) -> dict[str, Any]:
        if not host.alias:
            return {}
        if not pinned:
            return {"known_hosts": None, "host_key_alias": host.alias}
        keys = [self._asyncssh.import_public_key(key) for key in pinned]
        return {"known_hosts": (keys, [], []), "host_key_alias": host.alias}

    async def _first(self, host: Host, link: _Link) -> None:
        """Pin the key that was seen. Raises: Denied (meanwhile another one was pinned, or it cannot be pinned)."""
        key = link.connection.get_server_host_key().export_public_key("openssh").decode()
        try:
            same = await self._pins.accept(host.alias, " ".join(key.split()[:2]))
        except OSError as error:
            link.close()
            raise local(error, "the host key cannot be pinned") from None
        if not same:
            link.close()
            raise changed(host)

    def _identity(self, host: Host) -> dict[str, Any]:
        if not host.key_file:
            return {}
        key = self._key(Path(host.key_file))
        if key is None:  # it has a passphrase: the agent may have it open
            return {"agent_identities": [f"{host.key_file}.pub"], "client_keys": (), "ignore_encrypted": True}
        return {"client_keys": [key], "agent_path": None}

    def _key(self, file: Path) -> Any:
        """Return a private key, read once; None when it has a passphrase. Raises: Denied."""
        try:
            stamp = (str(file), file.stat().st_mtime_ns)
            if stamp not in self._keys:
                self._keys[stamp] = self._asyncssh.read_private_key(file)
        except self._asyncssh.KeyEncryptionError:
            self._keys[stamp] = None
        except (OSError, self._asyncssh.KeyImportError) as error:
            if "passphrase" in str(error).lower():
                self._keys[stamp] = None
                return None
            why = getattr(error, "strerror", None) or error
            raise Denied(f"the key {file} cannot be read: {why}", hint="cms key list shows the keys") from None
        return self._keys[stamp]


def _text(file: Path) -> str | None:
    """Return what is in a file; None when there is none that can be read."""
    try:
        return file.read_text(errors="replace")
    except OSError:
        return None


class _Link:
    """One connection."""

    def __init__(self, connection: asyncssh.SSHClientConnection) -> None:
        self.connection: Any = connection

    @property
    def closed(self) -> bool:
        """Whether it is of no use any more."""
        return bool(self.connection.is_closed())

    async def start(self, command: str, talk: Talk) -> None:
        """Start a command. Raises: asyncssh's errors, OSError."""
        await self.connection.create_session(
            lambda: _session()(talk), command, encoding=None, request_pty=False, env=(), send_env=()
        )

    def close(self) -> None:
        """Close it now."""
        self.connection.abort()


@cache
def _greeting() -> Any:
    """Return the class that knows whether a host has greeted; asyncssh is imported by then."""
    import asyncssh

    class Greeting(asyncssh.SSHClient):
        """The client's side of one connection."""

        def __init__(self) -> None:
            self._connection: Any = None

        def connection_made(self, conn: Any) -> None:
            self._connection = conn

        @property
        def heard(self) -> bool:
            """Whether the host has said which version of SSH it speaks."""
            return self._connection is not None and bool(self._connection.get_extra_info("server_version"))

    return Greeting


@cache
def _session() -> Any:
    """Return the class of sessions; asyncssh is imported by then."""
    import asyncssh

    class Session(asyncssh.SSHClientSession):  # type: ignore[type-arg]
        """Passes on what comes to a `Talk`."""

        def __init__(self, talk: Talk) -> None:
            self._talk = talk

        def connection_made(self, chan: Any) -> None:
            self._talk.begun(chan)

        def data_received(self, data: Any, datatype: int | None) -> None:
            (self._talk.err if datatype else self._talk.out).take(data)

        def exit_status_received(self, status: int) -> None:
            self._talk.exit = status

        def exit_signal_received(self, signal: str, core_dumped: bool, msg: str, lang: str) -> None:
            self._talk.signal = signal

        def pause_writing(self) -> None:
            self._talk.flowing.clear()

        def resume_writing(self) -> None:
            self._talk.flowing.set()

        def connection_lost(self, exc: Exception | None) -> None:
            self._talk.close(exc)

    return Session
