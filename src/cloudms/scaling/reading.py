"""Settings as people write them, checked one by one: an error names the setting, and how it is written well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any, TypeVar

from cloudms import units
from cloudms.errors import Invalid
from cloudms.names import nearest

T = TypeVar("T")

_SHOWN = 60


class Section:
    """A section of plain settings and where it stands, such as `policies.0`.

    The errors of all methods are Invalid; their details hold the `path` as a list, so that a file's line can be found.
    """

    def __init__(self, plain: Any, path: tuple[str, ...] = ()) -> None:
        self.path = path
        if plain is not None and not isinstance(plain, Mapping):
            raise self.wrong("is not a section", "write its settings below it, indented")
        self.plain: Mapping[str, Any] = plain or {}

    def wrong(self, why: str, hint: str, key: str = "") -> Invalid:
        """Return the error of a setting, or of the whole section."""
        path = (*self.path, key) if key else self.path
        return Invalid(f"{'.'.join(path) or 'the policy'} {why}", hint=hint, details={"path": list(path)})

    def known(self, *keys: str) -> None:
        """Refuse settings that nobody reads."""
        for key in self.plain:
            if key not in keys:
                close = nearest(str(key), keys)
                raise self.wrong(
                    "is not known", f"did you mean '{close}'?" if close else "known: " + ", ".join(keys), str(key)
                )

    def section(self, key: str) -> Section:
        """Return the section below."""
        return Section(self.plain.get(key), (*self.path, key))

    def sections(self, key: str) -> list[Section]:
        """Return a list of sections; a single one is a list of one."""
        value = self.plain.get(key)
        listed = value if isinstance(value, list | tuple) else [] if value is None else [value]
        return [Section(each, (*self.path, key, str(number))) for number, each in enumerate(listed)]

    def number(
        self,
        key: str,
        default: float | None = None,
        *,
        least: float = 0.0,
        most: float = 1e12,
        above: float | None = None,
    ) -> float:
        """Return a number from `least` to `most`, and more than `above`."""
        value = self.plain.get(key)
        if value is None:
            return self._default(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not finite(value):
            raise self.wrong(f"is {shown(value)} and not a number", f"for instance: {key}: {_example(default)}", key)
        if value < least or value > most or (above is not None and value <= above):
            bound = f"more than {above:g}" if above is not None else f"{least:g} or more"
            raise self.wrong(f"is {value:g}", f"it is {bound}" + (f", up to {most:g}" if most < 1e12 else ""), key)
        return float(value)

    def whole(self, key: str, default: int | None = None, *, least: int = 0, most: int = 100_000) -> int:
        """Return a whole number from `least` to `most`."""
        found = self.number(key, default, least=least, most=most)
        if found != int(found):
            raise self.wrong(f"is {found:g} and not a whole number", f"for instance: {key}: {int(found)}", key)
        return int(found)

    def percent(self, key: str, default: float, *, most: float = 100.0) -> float:
        """Return a percentage, written as 10 or 10%."""
        value = self.plain.get(key)
        if isinstance(value, str) and value.strip().endswith("%"):
            plain = value.strip()[:-1].strip()
            value = float(plain) if plain.replace(".", "", 1).isdecimal() else value
        return Section({key: value}, self.path).number(key, default, most=most)

    def seconds(self, key: str, default: float | None = None, *, least: float = 0.0) -> float:
        """Return the seconds of 90, 90s, 15m or 1h30m."""
        value = self.plain.get(key)
        if value is None:
            return self._default(key, default)
        try:
            found = units.duration(value)
        except Invalid as error:
            raise self.wrong(f"is {shown(value)}: {error.message}", error.hint, key) from None
        if found < least:
            raise self.wrong(f"is {str(value)[:_SHOWN]}", f"it is {least:g}s or longer", key)
        return found

    def text(self, key: str, default: str | None = None) -> str:
        """Return one line of text."""
        value = self.plain.get(key)
        if value is None:
            return str(self._default(key, default))
        if isinstance(value, Mapping | list) or not str(value).isprintable():
            raise self.wrong("is not one line of text", "quote text with a bracket, brace or colon", key)
        return str(value)

    def choice(self, key: str, words: Sequence[str], default: str | None = None) -> str:
        """Return one of a few words."""
        found = self.text(key, default)
        if found not in words:
            close = nearest(found, list(words))
            hint = f"did you mean '{close}'?" if close else f"one of: {', '.join(words)}"
            raise self.wrong(f"cannot be '{found[:60]}'", hint, key)
        return found

    def truth(self, key: str, default: bool = False) -> bool:
        """Return true or false."""
        value = self.plain.get(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.wrong(f"is {shown(value)} and neither true nor false", f"for instance: {key}: true", key)
        return value

    def plain_of(self, key: str) -> dict[str, Any]:
        """Return what stands in a section that somebody else reads."""
        return dict(self.section(key).plain)

    def _default(self, key: str, default: T | None) -> T:
        if default is None:
            raise self.wrong("is missing", f"write {key}: and its value", key)
        return default


def shown(value: Any) -> str:
    """Return what a person wrote, as a sentence has it."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def finite(value: float) -> bool:
    """Whether a number is one to reckon with; whole ones may have more digits than any float."""
    try:
        return isfinite(value)
    except OverflowError:
        return False


def _example(default: float | None) -> str:
    return f"{default:g}" if default is not None else "10"
