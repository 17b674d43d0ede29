"""The Python door: `Cms().vm.boot("micro", name="web", count=3)`; every verb is a method, derived from the index."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from cloudms import registry
from cloudms.clock import Clock
from cloudms.context import Context, Progress, unheard
from cloudms.errors import Invalid, Timeout
from cloudms.model import Noun, Operation
from cloudms.older import CALLS, Call, in_our_words
from cloudms.record import Record
from cloudms.registry import VerbEntry

if TYPE_CHECKING:
    from cloudms.catalog.base import Catalog
    from cloudms.config import Config
    from cloudms.engine.plan import Listing, Plan
    from cloudms.verb import Parameter


class Cms:
    """Everything cloudms can do, for programs: `cms.NOUN.VERB(...)` for every verb.

    A reading verb returns nouns (a list is a `Found`, which knows its age and which clouds were silent). A changing
    verb begins at once and returns a `Handle`; with `dry_run=True` it returns the `Plan` and changes nothing. Where a
    command takes names, a name, a list of them, host lists such as "web[1-3]" and nouns will do. A word that Python
    keeps for itself or cannot spell is written with underscores: `cms.key.import_`, `cms.ssh_config`.

    Parameters: `cloud`, the cloud to work on (the configured ones otherwise); `config`, a `Config` or the path of its
    file; `catalog`, `clock` and `actor` when they are not the person's own; `progress`, called with (target, what
    happens now) from any thread.
    """

    def __init__(
        self,
        *,
        cloud: str = "",
        config: Config | Path | str | None = None,
        catalog: Catalog | None = None,
        clock: Clock | None = None,
        progress: Progress = unheard,
        actor: str = "",
    ) -> None:
        if isinstance(config, str | Path):
            from cloudms.config import Config

            config = Config(config)
        self.context = Context(config=config, catalog=catalog, clock=clock, progress=progress, cloud=cloud, actor=actor)
        self._handles: list[Handle] = []

    def __getattr__(self, word: str) -> Command:
        """Return the commands below a noun, or a command of one word. Raises: AttributeError."""
        return _below(self, (), word)

    def __dir__(self) -> list[str]:
        """Return what can follow."""
        return [*super().__dir__(), *_words(())]

    def __enter__(self) -> Self:
        """Return itself; leaving the block waits for every change that was begun."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def close(self) -> None:
        """Wait for every change that was begun, and close clouds and catalog."""
        for handle in self._handles:
            handle.join()
        self._handles.clear()
        self.context.close()


class Found(list[Any]):
    """The nouns of a list.

    `failed` holds by cloud the error of each one that did not answer; `fetched` is the age of the oldest part (epoch
    seconds, None when nothing was cached) and `cached` whether no cloud was asked.
    """

    def __init__(self, listing: Listing) -> None:
        super().__init__(listing.items)
        self.failed = listing.failed
        self.fetched = listing.fetched
        self.cached = listing.cached


class Command:
    """A verb that can be called, or a noun with verbs below it."""

    def __init__(self, cms: Cms, path: tuple[str, ...], entry: VerbEntry | None, older: Call | None = None) -> None:
        self._cms = cms
        self._path = path
        self._entry = entry
        self._older = older or Call(verb=path)
        self.__name__ = "_".join(path)
        self.__doc__ = entry.summary if entry else registry.index().texts.get(path[0], "")

    def __getattr__(self, word: str) -> Command:
        """Return the command below. Raises: AttributeError."""
        return _below(self._cms, self._path, word)

    def __dir__(self) -> list[str]:
        """Return what can follow."""
        return [*super().__dir__(), *_words(self._path)]

    def __repr__(self) -> str:
        """Show the command as it is typed."""
        return f"<cms {' '.join(self._path)}>"

    @property
    def __signature__(self) -> Any:
        """Return the parameters, for `help` and editors."""
        import inspect
        from typing import get_type_hints

        if self._entry is None:
            return inspect.Signature()
        verb = self._entry.load()
        types = get_type_hints(verb.function)
        given = list(inspect.signature(verb.function).parameters.values())[1:]
        if verb.changes:
            given.append(inspect.Parameter("dry_run", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=bool))
            types["dry_run"] = bool
        return inspect.Signature([p.replace(annotation=types[p.name]) for p in given])

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Carry out the verb.

        Raises: Invalid (a parameter), and what the verb raises; TypeError for a noun, or parameters it does not have.
        """
        if self._entry is None:
            below = ", ".join(_words(self._path))
            raise TypeError(f"cms.{'.'.join(self._path)} is a noun; call one of its verbs: {below}")
        verb = self._entry.load()
        arguments, options = in_our_words(self._older, arguments, options)
        given = dict(self.__signature__.bind(*arguments, **options).arguments)
        dry_run = given.pop("dry_run", False) if verb.changes else False
        values = _coerced(self._entry, given)
        result = verb.function(self._cms.context, **values)
        if not verb.changes:
            found = self._read(result, str(values.get("cloud") or ""))
            return getattr(found, self._older.gives) if self._older.gives else found
        if dry_run:
            from cloudms.engine import rehearse

            return rehearse(self._cms.context, result)
        handle = Handle(self._cms.context, result)
        self._cms._handles.append(handle)
        return handle

    def _read(self, result: Any, cloud: str) -> Any:
        from cloudms.engine.plan import Listing

        if not isinstance(result, Listing):
            return result
        if result.failed and not result.items:
            from cloudms.doors.outcome import of_listing

            context = self._cms.context
            problem = of_listing(result, context.cloud_names(cloud))
            if problem is not None and problem.code != "partial":
                raise problem
        return Found(result)


class Handle:
    """A change under way: `plan` is what was asked for, `name` the operation it is written down as."""

    def __init__(self, context: Context, plan: Plan) -> None:
        from cloudms.engine import start

        self.plan = plan
        self._context = context.branch()
        self._begun = start(self._context, plan)
        self._ended: Operation | None = None
        self._problem: BaseException | None = None
        self.name: str = self._begun.name
        self._thread = threading.Thread(target=self._work, name=f"cms-{self.name}")
        self._thread.start()

    def _work(self) -> None:
        from cloudms.engine import execute

        try:
            self._ended = execute(self._context, self._begun)
        except BaseException as error:  # noqa: BLE001 (raised in the thread that asks for the result)
            self._problem = error

    @property
    def operation(self) -> Operation:
        """Return the record of the change as it is now."""
        if self._ended is not None:
            return self._ended
        stored = self._context.catalog.get("operation", self.name)
        return Operation.from_document(stored.document) if stored else self._begun

    @property
    def done(self) -> bool:
        """Whether it has ended, in whatever way."""
        return not self._thread.is_alive()

    def wait(self, timeout: float | None = None) -> Operation:
        """Wait until it has ended and return its record; failed steps raise nothing here.

        Parameters: `timeout`, in seconds. Raises: Timeout (it goes on), Interrupted (it was cancelled).
        """
        try:
            self._thread.join(timeout)
        except KeyboardInterrupt:
            self.cancel()
            self._thread.join()
            raise
        if self._thread.is_alive():
            raise Timeout(
                f"{self.name} has not ended within {timeout:g} seconds and goes on", hint="wait again, or cancel it"
            )
        if self._problem is not None:
            raise self._problem
        return self.operation

    def result(self, timeout: float | None = None) -> list[Any]:
        """Wait and return a noun per target (a `Step` where nothing is left, as after a delete).

        Parameters: `timeout`, in seconds. Raises: Timeout, Interrupted; Partial when some steps failed (`details` has
        a record of each), the error itself when all failed alike.
        """
        from cloudms.doors.outcome import nouns_of, of_operation

        ended = self.wait(timeout)
        problem = of_operation(ended)
        if problem is not None:
            raise problem
        return nouns_of(ended)

    def cancel(self) -> None:
        """Ask it to stop: what has begun ends its current call, the rest is not begun."""
        self._context.stop()

    def join(self) -> None:
        """Wait until it has ended; raises nothing about how."""
        self._thread.join()

    def __repr__(self) -> str:
        """Show what it does and how far it is."""
        return f"<{self.name}: {self.plan.summary}, {self.operation.state}>"


def _below(cms: Cms, path: tuple[str, ...], word: str) -> Command:
    if word.startswith("__"):
        raise AttributeError(word)
    index = registry.index()
    older = CALLS.get((*path, word))
    for spelled in dict.fromkeys((word, word.rstrip("_"), word.replace("_", "-"))):
        longer = older.verb if older else registry.canonical((*path, spelled))
        entry = index.exact(list(longer))
        if entry is not None and "python" not in entry.doors:
            entry = None
        if entry is not None or _words(longer):
            return Command(cms, longer, entry, older)
    raise AttributeError(f"cms has no command '{' '.join((*path, word))}'; {index.suggest([*path, word])}", name=word)


def _words(path: tuple[str, ...]) -> list[str]:
    """Return the words that can follow `path`, spelled for Python."""
    from keyword import iskeyword

    following = [
        e.path[len(path)] for e in registry.index().below(path) if len(e.path) > len(path) and "python" in e.doors
    ]
    following += [call[-1] for call in CALLS if following and call[:-1] == path]
    plain = (word.replace("-", "_") for word in dict.fromkeys(following))
    return [f"{word}_" if iskeyword(word) else word for word in plain]


def _coerced(entry: VerbEntry, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return values as the verb takes them: nouns become names, one name a list, text a path. Raises: Invalid."""
    from cloudms.verb import parameters

    known = {p.name: p for p in parameters(entry.load())}
    return {name: _value(known[name], value) for name, value in given.items()}


def _value(parameter: Parameter, value: Any) -> Any:
    if value is None:
        return None
    if parameter.many:
        single = isinstance(value, str | Path | Record) or not isinstance(value, Iterable)
        return [_one(parameter, item) for item in ([value] if single else value)]
    if parameter.names == "cloud" and isinstance(value, list | tuple):
        return ",".join(_one(parameter, item) for item in value)
    return _one(parameter, value)


def _one(parameter: Parameter, value: Any) -> Any:
    if isinstance(value, Noun) and parameter.names:
        return value.name
    if parameter.type == "path" and isinstance(value, str):
        return Path(value)
    if parameter.choices and value not in parameter.choices:
        raise Invalid(f"{parameter.name} cannot be {value!r}", hint=f"it is one of {', '.join(parameter.choices)}")
    if parameter.least is not None and isinstance(value, int | float) and value < parameter.least:
        raise Invalid(f"{parameter.name} cannot be {value!r}", hint=f"it is {parameter.least} or more")
    return value
