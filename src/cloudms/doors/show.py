"""Results on stdout, in the format that was asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import wraps
from typing import Any, cast

from cloudms import registry
from cloudms.clock import Clock, age
from cloudms.doors.formats import Format, View
from cloudms.doors.screen import Screen, has_color, is_utf8, width
from cloudms.engine.plan import Listing
from cloudms.errors import CloudmsError, Invalid
from cloudms.model import nouns
from cloudms.names import nearest
from cloudms.record import Record


class Show:
    """Shows results: `columns` are those the person chose, `usual` those of the verb, `noun` what a list holds."""

    def __init__(
        self,
        screen: Screen,
        clock: Clock,
        *,
        columns: tuple[str, ...] = (),
        usual: tuple[str, ...] = (),
        noun: str = "",
        header: bool = True,
    ) -> None:
        self.screen = screen
        self.clock = clock
        self.columns = columns
        self.usual = usual
        self.noun = noun
        self.header = header
        self.format = _format(screen.output)
        if columns and not getattr(self.format, "takes_columns", False):
            raise Invalid(f"--columns is for a table or csv, not for {screen.output}", hint="leave one of them out")

    def anything(self, result: Any) -> None:
        """Show what a verb returned: a listing, nouns, plain data, text or lines that come over time."""
        if isinstance(result, Listing):
            self.listing(result)
        elif isinstance(result, str):
            self.text(result)
        elif isinstance(result, list | tuple):
            self.rows(result)
        elif isinstance(result, Record | Mapping):
            self.one(result)
        elif isinstance(result, Iterator):
            self.stream(result)
        elif result is not None:
            self.text(str(result))

    def listing(self, listing: Listing) -> None:
        """Show a list and, to a person, how old it is."""
        self.rows(listing.items)
        if self.screen.output == "table" and listing.cached and listing.fetched is not None:
            old = age(self.clock.now() - listing.fetched)
            self.screen.say(f"cached, {old} old; --refresh asks the clouds", style="dim")

    def rows(self, rows: Iterable[Any]) -> None:
        """Show a list."""
        kept = list(rows)
        columns = self._columns(kept)
        self.screen.write(self.format(kept, self._view(columns=columns)))
        if not kept and self.screen.output == "table":
            self.screen.say("nothing found", style="dim")

    def one(self, row: Any) -> None:
        """Show one thing in full."""
        columns = self._columns([row]) if self.columns else ()
        self.screen.write(self.format([row], self._view(columns=columns, single=True)))

    def text(self, text: str) -> None:
        """Show text as it is; a machine gets it as a string."""
        if self.screen.output in ("table", "name"):
            self.screen.write([text if text.endswith("\n") or not text else text + "\n"])
        else:
            self.screen.write(self.format([text], self._view(single=True)))

    def stream(self, rows: Iterator[Any]) -> None:
        """Show what comes, when it comes. Raises what the source raises, after what was open is closed."""
        problem: list[BaseException] = []

        def heard() -> Iterator[Any]:
            try:
                for row in rows:
                    yield row
                    if problem:
                        return
            except (Exception, KeyboardInterrupt, SystemExit) as error:  # noqa: BLE001 (raised again below)
                problem.append(error)

        chunks = self.format(heard(), self._view(columns=self.columns or self.usual, streaming=True))
        try:
            self.screen.write(chunks, follow=True)
        except KeyboardInterrupt as error:  # it came while a row was written
            problem.append(error)
            self.screen.write(chunks, follow=True)
        if problem:
            raise problem[0]

    def _columns(self, rows: list[Any]) -> tuple[str, ...]:
        """Return the columns to show. Raises: Invalid when one was asked for that these rows do not have."""
        first = rows[0] if rows else None
        if not self.columns:
            kind = str(first.get("kind", "")) if isinstance(first, Mapping) else self.noun if first is None else ""
            return () if isinstance(first, str) else self._usual(first, kind)
        known = _fields(first)
        for name in self.columns if known else ():
            if name.partition(".")[0] not in known:
                close = nearest(name, known)
                raise Invalid(
                    f"there is no column '{name}'",
                    hint=f"did you mean '{close}'" if close else f"columns: {', '.join(known)}",
                )
        return self.columns

    def _usual(self, first: Any, kind: str) -> tuple[str, ...]:
        if kind == "step":
            return ("target", "cloud", "action", "state", "seconds")
        if self.usual:
            return self.usual
        if isinstance(first, Record):
            return tuple(getattr(first, "columns", ()))
        return nouns()[kind].columns if kind in nouns() else ()

    def _view(self, **facts: Any) -> View:
        return View(
            header=self.header,
            width=width(self.screen.out),
            color=has_color(self.screen.out),
            ascii=not is_utf8(self.screen.out),
            now=self.clock.now(),
            **facts,
        )


def _format(name: str) -> Format:
    """Return a format; what one of a plug-in gives is looked at. Raises: CloudmsError (it is none)."""
    found: Any = registry.load("cloudms.formats", name)
    if str(getattr(found, "__module__", "")).startswith("cloudms."):
        return cast(Format, found)

    @wraps(found)
    def checked(rows: Iterable[Any], view: View) -> Iterator[str]:
        chunks = found(rows, view) if callable(found) else found
        if not isinstance(chunks, Iterable):
            raise _no_format(name, chunks)
        for chunk in chunks:
            if not isinstance(chunk, str):
                raise _no_format(name, chunk)
            yield chunk

    return checked


def _no_format(name: str, given: Any) -> CloudmsError:
    return CloudmsError(
        f"the format '{name}' of a plug-in gives {type(given).__name__} instead of text",
        hint="cms plugin list shows whose it is; please report it to its authors",
    )


def _fields(row: Any) -> list[str]:
    if isinstance(row, Record):
        return [name for name in type(row).field_names() if name != "raw"]
    return [str(key) for key in row] if isinstance(row, Mapping) else []
