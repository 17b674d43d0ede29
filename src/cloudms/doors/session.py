"""One command line carried out: what the command line and the interactive shell have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cloudms import registry
from cloudms.doors import words
from cloudms.doors.screen import Screen, is_terminal
from cloudms.errors import Invalid, NotFound

if TYPE_CHECKING:
    from cloudms.context import Context
    from cloudms.doors.options import Options
    from cloudms.doors.parse import Request
    from cloudms.doors.progress import Progress
    from cloudms.doors.show import Show
    from cloudms.registry import VerbEntry
    from cloudms.verb import Door, Verb

_HELP = ("-h", "--help")


class Session:
    """A person at the command line.

    Parameters: `screen`, where to write; `context`, what verbs work with, made when first needed and kept until
    `close`; `door`, whose verbs can be called; `usual`, the options of every command when a line gives none; `over`
    opens the door that a verb returns, and gives the exit code; `notices`, whether it is said what is odd about the
    configuration and the plug-ins.
    """

    def __init__(
        self,
        screen: Screen,
        context: Context | None = None,
        door: str = "cli",
        usual: Options | None = None,
        over: Callable[[Door, Options], int] | None = None,
        notices: bool = True,
    ) -> None:
        self.screen = screen
        self.door = door
        self._context = context
        self._usual = usual
        self._over = over
        self._notices = notices

    @property
    def context(self) -> Context:
        """Return what verbs work with."""
        if self._context is None:
            from cloudms.context import Context

            self._context = Context()
        return self._context

    def run(self, argv: Sequence[str]) -> int:
        """Carry out one command line and return its exit code. Raises: CloudmsError, KeyboardInterrupt, any bug."""
        if not argv or argv[0] in _HELP:
            return self._general()
        if argv[0] in ("-V", "--version"):
            from cloudms import __version__

            self.screen.write([f"cms {__version__}\n"])
            return 0
        sorted_out = words.sort_out(words.utf8(argv), registry.index(), self._known)
        asked = list(sorted_out.words)
        if asked[:1] == ["help"]:
            asked = [*(word for word in asked[1:] if not word.startswith("-")), "--help"]
        if sorted_out.cloud and not asked:
            cloud = sorted_out.cloud
            raise Invalid(f"no command after the cloud '{cloud}'", hint=f"for instance: cms {cloud} vm list")
        if not asked or asked[0] in _HELP:
            return self._general()
        if sorted_out.alias:
            self.context.base_name = self.context.config.base_name(sorted_out.alias)
        entry, rest = self._find(asked)
        if entry is None:
            return self._below(asked)
        return self._verb(entry, rest, sorted_out.cloud)

    def _known(self) -> Known:
        return Known(self.context)

    def _find(self, asked: list[str]) -> tuple[VerbEntry | None, list[str]]:
        index = registry.index()
        for length in (3, 2, 1):
            entry = index.exact(asked[:length]) if len(asked) >= length else None
            if entry and self.door in entry.doors:
                return entry, asked[length:]
        return None, asked

    def _general(self) -> int:
        from cloudms.doors import help as texts

        self._lines(texts.general(registry.index(), self.door))
        return 0

    def _below(self, asked: list[str]) -> int:
        """Show the commands below a noun. Raises: Invalid when the words are none."""
        from cloudms.doors import help as texts

        index = registry.index()
        plain = [word for word in asked if not word.startswith("-")]
        below = [entry for entry in index.below(plain) if self.door in entry.doors] if plain else []
        extra = [word for word in asked if word.startswith("-") and word not in _HELP]
        if not below or (extra and not set(asked) & set(_HELP)):
            raise words.unknown(index, asked, self.door)
        self._lines(texts.words(index, tuple(plain)))
        return 0

    def _verb(self, entry: VerbEntry, rest: list[str], cloud: str) -> int:
        from cloudms.doors.parse import HelpWanted, parse

        verb = entry.load()
        try:
            request = parse(verb, rest, self._usual)
        except HelpWanted:
            return self._one(verb)
        self._apply(request.options)
        try:
            return self._call(verb, request, cloud)
        finally:
            self._warnings()

    def _one(self, verb: Verb) -> int:
        from cloudms.doors import help as texts
        from cloudms.doors.options import shared
        from cloudms.verb import parameters

        own = parameters(verb)
        self._lines(texts.one(verb, own, shared(verb, own)))
        return 0

    def _apply(self, options: Options) -> None:
        self.screen.output = options.output
        self.screen.quiet = options.quiet
        self.screen.debug = options.debug

    def _call(self, verb: Verb, request: Request, cloud: str) -> int:
        from cloudms.doors.progress import Progress
        from cloudms.doors.show import Show

        ctx = self.context
        values = dict(request.values)
        if cloud:
            ctx.chosen_cloud = cloud
            if any(p == "cloud" for p in _options_of(verb)):
                values.setdefault("cloud", cloud)
        show = Show(
            self.screen,
            ctx.clock,
            columns=request.options.columns,
            usual=verb.columns,
            noun=verb.path[0] if len(verb.path) == 2 else "",
            header=not request.options.no_header,
        )
        progress = Progress(self.screen, ctx.clock)
        ctx.progress = progress
        ctx.terminal = self.screen.output == "table" and is_terminal(self.screen.out)
        try:
            result = verb.function(ctx, **values)
            if verb.changes and _is_plan(result):
                from cloudms.doors.change import change

                progress.close()
                return change(ctx, self.screen, show, progress, result, request.options)
            if self._over is not None and _is_door(result):
                return self._over(result, request.options)
            return self._read(show, progress, result, str(values.get("cloud") or ""))
        finally:
            progress.close()

    def _read(self, show: Show, progress: Progress, result: Any, cloud: str) -> int:
        from cloudms.engine.plan import Listing

        progress.close()
        show.anything(_undisturbed(result, progress) if isinstance(result, Iterator) else result)
        if not isinstance(result, Listing) or not result.failed:
            return 0
        from cloudms.doors.outcome import of_listing

        for name, public in result.failed.items():
            self.screen.error(public, cloud=name)
        problem = of_listing(result, self.context.cloud_names(cloud))
        return problem.exit_code if problem else 0

    def _warnings(self) -> None:
        if self._context is None:
            return
        warnings, self._context.warnings = self._context.warnings, []
        for text in warnings:
            self.screen.warn(text)
        notes, self._context.notes = self._context.notes, []
        for text in notes:
            self.screen.say(text, style="dim")
        if self._notices and self._context.configured:
            from cloudms.doors.notices import tell

            tell(self.screen, self._context.config)

    def _lines(self, lines: Iterable[str]) -> None:
        self.screen.write(line + "\n" for line in lines)

    def close(self) -> None:
        """Close what was opened."""
        if self._context is not None:
            self._context.close()


class Known:
    """The person's own words, as the configuration knows them."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def aliases(self) -> Mapping[str, str]:
        """Return the person's aliases."""
        return self._context.config.aliases()

    def has_cloud(self, name: str) -> bool:
        """Whether a cloud has that name."""
        try:
            self._context.config.cloud(name)
        except NotFound:
            return False
        return True


def _is_plan(result: Any) -> bool:
    """Whether a changing verb wants something done; without `--apply`, for instance, it only lists."""
    from cloudms.engine.plan import Plan

    return isinstance(result, Plan)


def _is_door(result: Any) -> bool:
    from cloudms.verb import Door

    return isinstance(result, Door)


def _undisturbed(rows: Iterator[Any], progress: Progress) -> Iterator[Any]:
    """Yield rows, each in a place where no display of progress stands."""
    for row in rows:
        progress.close()
        yield row


def _options_of(verb: Verb) -> list[str]:
    from cloudms.verb import parameters

    return [p.name for p in parameters(verb) if not p.argument]
