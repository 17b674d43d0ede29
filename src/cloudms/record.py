"""Frozen data classes whose definition costs microseconds.

The standard library's dataclasses compile several functions for each class, which for our nouns together costs as much
as a third of a short command. This base gives the same behaviour (keyword arguments, defaults, frozen, equality) from
one generic implementation; `dataclass_transform` (PEP 681) makes type checkers see ordinary data classes.
"""

from __future__ import annotations

from typing import Any, ClassVar, Self, dataclass_transform

_REQUIRED: Any = object()
_SCALARS = frozenset((str, dict, float, int, bool, type(None)))
"""Types of values that are JSON as they are, so that rows by the thousand need no call for each."""


@dataclass_transform(kw_only_default=True, frozen_default=True)
class Record:
    """Base of frozen data: annotate fields in the subclass; a field without a default is required."""

    _defaults: ClassVar[dict[str, Any]] = {}
    _required: ClassVar[frozenset[str]] = frozenset()
    _fresh: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        """Collect the fields of the class from its annotations, which are text (PEP 563)."""
        defaults = dict(cls._defaults)
        for name, annotation in cls.__dict__.get("__annotations__", {}).items():  # noqa: RUF063 (inspect is slow to import)
            if not annotation.startswith("ClassVar"):
                defaults[name] = cls.__dict__.get(name, _REQUIRED)
        cls._defaults = defaults
        cls._fresh = tuple(name for name, value in defaults.items() if type(value) is dict)
        cls._required = frozenset(name for name, value in defaults.items() if value is _REQUIRED)

    def __init__(self, **values: Any) -> None:
        """Set every field: `values` first, then defaults; a dict default is a new dict each time."""
        own = self.__dict__
        own.update(self._defaults)
        own.update(values)
        for name in self._fresh:
            if name not in values:
                own[name] = {}
        if len(own) != len(self._defaults):
            unknown = sorted(set(own) - set(self._defaults))
            raise TypeError(f"{type(self).__name__} has no field {', '.join(unknown)}")
        if not self._required <= values.keys():
            missing = sorted(self._required - values.keys())
            raise TypeError(f"{type(self).__name__} needs {', '.join(missing)}")
        self.__post_init__()

    def __post_init__(self) -> None:
        """Normalize fields; subclasses may extend it with `self.__dict__[...] = ...`."""

    def __setattr__(self, name: str, value: Any) -> None:
        """Refuse: records are frozen."""
        raise AttributeError(f"{type(self).__name__} is frozen; use with_({name}=...)")

    def __delattr__(self, name: str) -> None:
        """Refuse: records are frozen."""
        raise AttributeError(f"{type(self).__name__} is frozen")

    def __eq__(self, other: object) -> bool:
        """Whether `other` is of the same class with equal fields."""
        return type(self) is type(other) and self.__dict__ == other.__dict__

    __hash__ = None  # type: ignore[assignment]  # fields may be dicts

    def __repr__(self) -> str:
        """Show the fields that differ from their defaults."""
        shown = (f"{k}={v!r}" for k, v in self.__dict__.items() if v != self._defaults[k])
        return f"{type(self).__name__}({', '.join(shown)})"

    @classmethod
    def of_fields(cls, **values: Any) -> Self:
        """Return the record of `values` that are known to be good, unchecked: for rows by the hundred thousand."""
        made = cls.__new__(cls)
        made.__dict__.update(cls._defaults, **values)
        return made

    @classmethod
    def field_names(cls) -> tuple[str, ...]:
        """Return the names of the fields in order."""
        return tuple(cls._defaults)

    def with_(self, **changes: Any) -> Self:
        """Return a copy with `changes`."""
        return type(self)(**{**self.__dict__, **changes})

    def to_document(self) -> dict[str, Any]:
        """Return the fields as a dict of JSON values, records inside included."""
        return {name: value if type(value) in _SCALARS else _plain(value) for name, value in self.__dict__.items()}

    @classmethod
    def from_document(cls, document: Any) -> Self:
        """Return the record of a stored document; fields of a newer version are ignored."""
        known = cls._defaults
        return cls(**{name: value for name, value in document.items() if name in known})


def _plain(value: Any) -> Any:
    if isinstance(value, Record):
        return value.to_document()
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value
