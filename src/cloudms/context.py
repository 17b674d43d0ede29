"""What a verb works with: configuration, catalog, clouds and clock, each opened when it is first used."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from cloudms import paths, registry
from cloudms.clock import Clock, SystemClock
from cloudms.errors import CloudmsError, Interrupted, Invalid, NotFound

if TYPE_CHECKING:
    from cloudms.catalog.base import Catalog
    from cloudms.clouds.base import Cloud
    from cloudms.config import Config
    from cloudms.fanout.pool import Pool

Progress = Callable[[str, str], None]
"""Told (target, what happens now) while a change runs."""
Heard = Callable[[str, str, str], None]
"""Told (target, stdout or stderr, whole lines of text) while something runs that says much; it must not wait."""


_LISTEN = 1.0
"""Seconds after which a wait looks whether a signal has come."""


def unheard(_target: str, _text: str) -> None:
    """Report nothing."""


class Context:
    """The state of one door: a command, a shell session, a REST service or a Python program.

    `base_name` is what names of VMs begin with when none is given, as the alias in use says (newawsvm).

    Parameters: `config`, `catalog` and `clock` when they are not the person's own; `progress` hears what happens;
    `cloud` is the cloud chosen by a prefix word (`cms aws vm list`); `actor` is who is written into events.
    """

    def __init__(
        self,
        *,
        config: Config | None = None,
        catalog: Catalog | None = None,
        clock: Clock | None = None,
        progress: Progress = unheard,
        cloud: str = "",
        actor: str = "",
    ) -> None:
        self.clock: Clock = clock or SystemClock()
        self.progress = progress
        self.chosen_cloud = cloud
        self.terminal = False
        """Whether a person sees on a terminal what a child process writes to stdout; a door says so."""
        self.lasting = False
        """Whether the process goes on after the verb: another program is then run beside it, not in its place."""
        self.heard: Heard | None = None
        self.base_name = ""
        self.actor = actor or default_actor()
        self.stopping = threading.Event()
        self.warnings: list[str] = []
        self.notes: list[str] = []
        self._config = config
        self._catalog = catalog
        self._opened: dict[str, Cloud] = {}
        self._clouds: dict[str, Cloud] = {}
        self._lock = threading.Lock()
        self._trunk: Context | None = None
        self._pool: Pool | None = None

    @property
    def config(self) -> Config:
        """Return the configuration."""
        if self._config is None:
            from cloudms.config import Config

            self._config = Config(kinds=registry.index().families["cloudms.clouds"])
        return self._config

    @property
    def configured(self) -> bool:
        """Whether the configuration was needed so far."""
        return self._config is not None

    @property
    def catalog(self) -> Catalog:
        """Return the catalog; `catalog.kind` in the configuration says which store, SQLite by default."""
        if self._trunk is not None:
            return self._trunk.catalog
        with self._lock:
            if self._catalog is None:
                kind = str(self.config.get("catalog.kind") or "sqlite")
                store = registry.load("cloudms.catalogs", kind)
                self._catalog = store(paths.catalog()) if kind == "sqlite" else store()
            return self._catalog

    def pool(self) -> Pool:
        """Return the connections to hosts, which stay open until this context is closed."""
        if self._trunk is not None:
            return self._trunk.pool()
        with self._lock:
            if self._pool is None:
                from cloudms.fanout.pool import Pool

                self._pool = Pool(clock=self.clock)
            return self._pool

    @property
    def owner(self) -> str:
        """Return the owner tag of what this catalog makes: the person, on every cloud and machine the same."""
        return str(self.config.get("profile.user") or self.actor.split("@")[0])

    def cloud_names(self, chosen: str = "") -> list[str]:
        """Return the clouds to work on: the chosen ones, or all active ones and those where VMs are known to be.

        Parameters: `chosen`, a name, several as in `a,b`, or `all`. Raises: NotFound, Invalid (a list of none).
        """
        chosen = chosen or self.chosen_cloud
        if chosen and chosen != "all":
            return [self.config.cloud(name).name for name in listed(chosen)]
        active = [cloud.name for cloud in self.config.clouds() if cloud.active]
        return active + [name for name in self.catalog.clouds("vm") if name not in active and self._known(name)]

    def _known(self, name: str) -> bool:
        """Whether the configuration still has a cloud; VMs that stand on one it no longer has are warned about."""
        try:
            return bool(self.config.cloud(name))
        except NotFound:
            count = self.catalog.count("vm", cloud=name)
            known = "1 VM is" if count == 1 else f"{count} VMs are"
            self.warn(f"{known} known on cloud '{name}', which is not configured; put it back, or: cms vm forget NAME")
            return False

    def default_cloud(self, chosen: str = "") -> str:
        """Return the one cloud that a new thing goes to."""
        name: str = self.config.cloud(chosen or self.chosen_cloud or self.config.default_cloud()).name
        return name

    def new_clouds(self, chosen: str = "") -> list[str]:
        """Return the clouds that new things go to: the chosen ones (`a,b`), else the default one.

        Raises: NotFound, Invalid (a list of none).
        """
        chosen = chosen or self.chosen_cloud
        return [self.config.cloud(name).name for name in listed(chosen)] if chosen else [self.default_cloud()]

    def cloud(self, name: str) -> Cloud:
        """Open a cloud once, behind its guards. Raises: NotFound, MissingExtra, ConfigError."""
        with self._lock:
            if name not in self._opened:
                self._opened[name] = self._open(name)
            if name not in self._clouds:
                self._clouds[name] = self._guarded(name)
            return self._clouds[name]

    def cloud_class(self, name: str) -> type[Cloud]:
        """Return the class of a configured cloud without opening it."""
        found: type[Cloud] = registry.load("cloudms.clouds", self.config.cloud(name).kind)
        return found

    def open_clouds(self, names: Iterable[str]) -> tuple[list[Cloud], dict[str, CloudmsError]]:
        """Open several clouds; those that cannot be opened are returned with their error."""
        opened, failed = [], {}
        for name in names:
            try:
                opened.append(self.cloud(name))
            except CloudmsError as error:
                failed[name] = error
        return opened, failed

    def _open(self, name: str) -> Cloud:
        from cloudms.clouds.base import Setup
        from cloudms.guards import blamed, guard, is_ours

        settings = self.config.cloud(name)
        cls: type[Cloud] = registry.load("cloudms.clouds", settings.kind)
        setup = Setup(
            name=name,
            default=settings.default,
            options={name: settings.option(name) for name in settings.options},
            credentials=settings.reveal,
            owner=self.owner,
            clock=self.clock,
        )
        try:
            opened = cls(setup)
        except CloudmsError:
            raise
        except Exception as error:
            if is_ours(cls):
                raise
            raise blamed(name, cls, "opening it", error) from error
        return guard(opened, clock=self.clock)

    def _guarded(self, name: str) -> Cloud:
        """Return an open cloud whose waiting this context stops, and whose reports it hears."""
        from cloudms.guards import beside

        return beside(self._opened[name], report=lambda text: self.progress(name, text), pause=self.pause)

    def warn(self, text: str) -> None:
        """Keep a warning that the door shows on stderr when the verb has ended."""
        with self._lock:
            if text not in self.warnings:
                self.warnings.append(text)

    def note(self, text: str) -> None:
        """Keep a sentence about the result that the door shows on stderr when the verb has ended."""
        with self._lock:
            self.notes.append(text)

    def stop(self) -> None:
        """Ask everything that waits or has not begun to stop; what has begun ends its current call."""
        self.stopping.set()

    def pause(self, seconds: float) -> None:
        """Wait `seconds`. Raises: Interrupted when asked to stop.

        A signal that comes in the moment before a wait begins is heard when the wait ends, so none is long.
        """
        if isinstance(self.clock, SystemClock):
            end = self.clock.monotonic() + seconds
            while not self.stopping.wait(min(seconds, _LISTEN)) and (seconds := end - self.clock.monotonic()) > 0:
                continue
        else:
            self.clock.sleep(seconds)
        if self.stopping.is_set():
            raise Interrupted("stopped on request")

    def branch(self) -> Context:
        """Return a context for one of several changes at a time: all is shared but what stops it; never close it."""
        other = Context(
            config=self.config,
            clock=self.clock,
            progress=self.progress,
            cloud=self.chosen_cloud,
            actor=self.actor,
        )
        other._trunk = self._trunk or self
        other._opened, other._lock, other.warnings = self._opened, self._lock, self.warnings
        other.notes = self.notes
        other.lasting = self.lasting
        return other

    def close(self) -> None:
        """Close clouds, connections to hosts and catalog."""
        self.close_clouds()
        self.close_pool()
        if self._catalog is not None:
            self._catalog.close()
        self._catalog = None

    def close_pool(self) -> None:
        """Close the connections to hosts; one that is needed again is made again."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()

    def close_clouds(self) -> None:
        """Close the clouds; one that is needed again is opened again."""
        for cloud in self._opened.values():
            cloud.close()
        self._opened.clear()
        self._clouds.clear()


def listed(words: str) -> list[str]:
    """Return the clouds of `a,b`, each once. Raises: Invalid when there are none."""
    found = list(dict.fromkeys(word.strip() for word in words.split(",") if word.strip()))
    if not found:
        raise Invalid(f"'{words}' names no cloud", hint="--cloud NAME, or several: --cloud local,aws")
    return found


def default_actor() -> str:
    """Return user@host of this process."""
    return f"{user()}@{os.uname().nodename}"


def user() -> str:
    """Return the login name of the person, or the numeric id where there is none. Raises nothing."""
    for variable in ("LOGNAME", "USER"):
        if os.environ.get(variable):
            return os.environ[variable]
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def not_found(what: str, name: str, known: Iterable[str], hint: str = "") -> NotFound:
    """Return the error for an unknown name, with the nearest known one as its hint."""
    from cloudms.names import nearest

    close = nearest(name, list(known))
    return NotFound(f"no {what} named '{name}'", hint=f"did you mean '{close}'" if close else hint)
