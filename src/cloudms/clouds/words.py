"""Settings of a cloud, which YAML or a person may have written as text."""

from __future__ import annotations

from typing import Any

from cloudms.errors import Invalid

_TRUTHS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
_LONGEST_S = 3600


def flag(name: str, value: Any, otherwise: bool = False) -> bool:
    """Return a truth. Raises: Invalid."""
    word = str(otherwise if value is None else value).strip().lower()
    if word not in _TRUTHS:
        raise Invalid(f"{name} cannot be {value!r}", hint="true or false")
    return _TRUTHS[word]


def number(name: str, value: Any, otherwise: float) -> float:
    """Return seconds, or how often, from 0 to 3600. Raises: Invalid."""
    try:
        found = otherwise if value is None else float(value)
    except (TypeError, ValueError):
        found = -1.0
    if not 0 <= found <= _LONGEST_S:
        raise Invalid(f"{name} cannot be {value!r}", hint=f"a number from 0 to {_LONGEST_S}, by default {otherwise:g}")
    return found


def listed(value: Any) -> tuple[str, ...]:
    """Return the words of a setting, which is a list or text with commas."""
    rows = value if isinstance(value, list | tuple) else str(value or "").split(",")
    return tuple(dict.fromkeys(word for each in rows if (word := str(each).strip())))
