"""What replies look like, as JSON Schema (2020-12, which OpenAPI 3.1 uses), made from the fields of the nouns."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from enum import Enum
from typing import Any

from cloudms.errors import tree
from cloudms.model import TIMES, Noun, Rule, Step, nouns
from cloudms.record import Record

Schema = dict[str, Any]

_PLAIN: dict[Any, Schema] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    type(None): {"type": "null"},
}
_TIME: Schema = {"type": "string", "format": "date-time"}


_PARTS = "#/components"


def ref(name: str, part: str = "schemas") -> Schema:
    """Return a reference to a schema of the document, or to another `part` of it."""
    return {"$ref": f"{_PARTS}/{part}/{name}"}


def components() -> dict[str, Schema]:
    """Return the schemas that every reply is made of: nouns, steps, rules, lists, plans, operations begun, errors."""
    found = {kind: of_noun(cls) for kind, cls in sorted(nouns().items())}
    found |= {f"{kind}_list": of_list(ref(kind)) for kind in list(found)}
    found["step"] = of_record(Step)
    found["rule"] = of_record(Rule)
    found["plan"] = _plan()
    found["accepted"] = _accepted()
    found["error"] = _error()
    found["problem"] = _object({"error": ref("error")}, text="What every error looks like, whoever tells it.")
    return found


def of_noun(cls: type[Noun]) -> Schema:
    """Return the schema of a noun as `to_public` shows it."""
    fields = of_record(cls, leave=("raw",))
    own: Schema = {"kind": {"const": cls.kind}, "schema": {"type": "integer", "const": cls.schema}}
    fields["properties"] = {**own, **fields["properties"]}
    fields["required"] = list(fields["properties"])
    return fields


def of_record(cls: type[Record], leave: tuple[str, ...] = ()) -> Schema:
    """Return the schema of a record's fields."""
    hints = _hints(cls)
    properties = {
        name: of_time(hints.get(name)) if name in TIMES and issubclass(cls, Noun) else of_type(hints.get(name, Any))
        for name in cls.field_names()
        if name not in leave
    }
    return _object(properties, text=" ".join((cls.__doc__ or "").split()))


def _hints(cls: type[Record]) -> dict[str, Any]:
    """Return the types of the fields; those that only a type checker can see are anything."""
    try:
        return typing.get_type_hints(cls)
    except NameError:
        return {}


def of_time(hint: Any) -> Schema:
    """Return the schema of a time: text, or null where the field may be empty."""
    return _TIME if hint is float else {"type": ["string", "null"], "format": "date-time"}


def of_type(hint: Any) -> Schema:
    """Return the schema of a field of this type; of what is not known here, anything."""
    if hint in _PLAIN:
        return dict(_PLAIN[hint])
    origin, inside = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _union([of_type(part) for part in inside])
    if origin in (tuple, list):
        return {"type": "array", "items": of_type(inside[0])}
    if origin in (Mapping, dict):
        return {"type": "object", "additionalProperties": of_type(inside[1])}
    if isinstance(hint, type) and issubclass(hint, Enum):
        return {"type": "string", "enum": [member.value for member in hint]}
    if isinstance(hint, type) and issubclass(hint, Record):
        return ref(hint.__name__.lower())
    return {}


def _union(parts: list[Schema]) -> Schema:
    if all(set(part) == {"type"} and isinstance(part["type"], str) for part in parts):
        return {"type": [part["type"] for part in parts]}
    return {"anyOf": parts}


def of_list(items: Schema) -> Schema:
    """Return the schema of a list of `items`."""
    return _object(
        {
            "kind": {"const": "list"},
            "schema": {"type": "integer", "const": 1},
            "items": {"type": "array", "items": items},
            "fetched": {"type": ["string", "null"], "format": "date-time", "description": "age of the oldest part"},
            "age_seconds": {"type": ["number", "null"], "minimum": 0, "description": "the same as seconds until now"},
            "cached": {"type": "boolean", "description": "whether no cloud was asked for this list"},
            "failed": {
                "type": "object",
                "additionalProperties": ref("error"),
                "description": "by cloud, why it did not answer; what is shown of it is as old as it says",
            },
            "next": {"type": ["string", "null"], "description": "the cursor of the next page: pass it as `after`"},
            "warnings": {"type": "array", "items": {"type": "string"}},
        }
    )


def _plan() -> Schema:
    step = {
        "action": {"type": "string"},
        "cloud": {"type": "string"},
        "target": {"type": "string"},
        "params": {"type": "object"},
    }
    return _object(
        {
            "kind": {"const": "plan"},
            "schema": {"type": "integer", "const": 1},
            "verb": {"type": "string"},
            "summary": {"type": "string"},
            "steps": {"type": "array", "items": _object(step)},
            "question": {"type": "string", "description": "what the command line asks before it begins"},
            "notes": {"type": "array", "items": {"type": "string"}},
            "shows": {"type": "object", "description": "texts by title that are part of the change: user data"},
            "warnings": {"type": "array", "items": {"type": "string"}},
        },
        text="What a change would do; nothing was changed.",
    )


def _accepted() -> Schema:
    return _object(
        {
            "kind": {"const": "accepted"},
            "schema": {"type": "integer", "const": 1},
            "operation": ref("operation"),
            "notes": {"type": "array", "items": {"type": "string"}},
            "warnings": {"type": "array", "items": {"type": "string"}},
        },
        text="A change that was written down and has begun; Location leads to its record.",
    )


def _error() -> Schema:
    return _object(
        {
            "kind": {"const": "error"},
            "code": {"type": "string", "enum": sorted({cls.code for cls in tree()})},
            "message": {"type": "string"},
            "hint": {"type": "string", "description": "what to do next"},
            "retryable": {"type": "boolean", "description": "whether the same request may succeed later"},
            "details": {"type": "object"},
        },
        text="What went wrong and what to do next.",
    )


def _object(properties: Schema, text: str = "") -> Schema:
    told = {"description": text} if text else {}
    return {"type": "object", **told, "properties": properties, "required": list(properties)}
