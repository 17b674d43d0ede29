"""A document taken apart as every store keeps it: its body, and beside it the fields that are searched.

`fetched` stands beside the body, so that a row that is seen again unchanged costs a number and not a document.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from json import JSONEncoder, loads
from typing import Any

from cloudms.errors import Invalid

EVENT = "event"
"""The kind of the documents that are written together with a change."""

SEARCHED = (
    "name", "id", "cloud", "region", "os", "arch", "image", "flavor", "state", "group", "owner", "vm",
    "public_ips", "private_ips", "fingerprint", "comment", "description",
    "actor", "action", "target", "text", "verb", "summary", "reason",
)  # fmt: skip
"""The fields in which `find(text=…)` looks."""

Row = tuple[str, str, str, "float | None", str, str, str]
"""cloud, name, region, fetched, labels, search, body."""


class Apart(dict[str, Row]):
    """Rows by key, made of documents before they are stored: by another thread than the one that stores them."""


_LONGEST = 1000
_encode = JSONEncoder(separators=(",", ":"), sort_keys=True, allow_nan=False).encode


def take_apart(kind: str, key: str, document: Mapping[str, Any]) -> Row:
    """Return the row of `document`; two documents that mean the same have the same row.

    Raises Invalid when `kind` or `key` is empty or when the document is not JSON.
    """
    if not kind or not key:
        raise Invalid(f"a document needs a kind and a key, not '{kind}' and '{key}'")
    try:
        values = dict(document)
        fetched = values.get("fetched")
        if fetched is not None:
            del values["fetched"]
            if not isinstance(fetched, int | float):
                raise TypeError("'fetched' is no time")
        cloud, name, region = values.get("cloud") or "", values.get("name") or "", values.get("region") or ""
        search = search_text(values)
        "".join((kind, key, cloud, name, region, search)).encode()  # refuses what is not text, or no Unicode
        return cloud, name, region, fetched, labels_text(values.get("labels") or {}), search, _encode(values)
    except (TypeError, ValueError, AttributeError) as error:
        raise Invalid(f"{kind} '{key}' cannot be stored as JSON: {error}") from error


def take_all_apart(kind: str, documents: Mapping[str, Mapping[str, Any]] | Apart) -> Apart:
    """Return the rows of `documents` by key; what is taken apart already as it is. Raises: as `take_apart`."""
    if isinstance(documents, Apart):
        return documents
    return Apart({key: take_apart(kind, key, document) for key, document in documents.items()})


def take_events_apart(events: Iterable[Mapping[str, Any] | None]) -> list[Row]:
    """Return the rows of the events that are not None; their keys are given when they are written."""
    return [take_apart(EVENT, "new", event) for event in events if event is not None]


def put_together(body: str, fetched: float | None) -> dict[str, Any]:
    """Return the document of a row."""
    document: dict[str, Any] = loads(body)
    if fetched is not None:
        document["fetched"] = fetched
    return document


def event_key(number: int) -> str:
    """Return the key of the event `number`: text that sorts as the numbers do."""
    return f"{number:016d}"


def labels_text(labels: Mapping[str, str]) -> str:
    """Return labels as lines of JSON; a line break never occurs inside one, so a line found is a label found."""
    return "\n" + "".join(f"{label_line(name, value)}\n" for name, value in labels.items()) if labels else ""


def label_line(name: str, value: str) -> str:
    """Return the line of one label."""
    return f"{_encode(name)}:{_encode(value)}"


def label_terms(labels: Mapping[str, str] | None) -> list[str]:
    """Return the texts that must all occur in a row's labels."""
    return [f"\n{label_line(name, value)}\n" for name, value in (labels or {}).items()]


def search_text(values: Mapping[str, Any]) -> str:
    """Return what `find(text=…)` looks through: a line for each searched field, without case."""
    found = [value for value in map(values.get, SEARCHED) if value]
    try:
        lines = "\n".join(found)
    except TypeError:  # lists and numbers are rare
        lines = "\n".join(_lines(found))
    return lines.replace("\0", "\n").casefold()  # to SQLite, text ends at a zero


def search_terms(text: str) -> list[str]:
    """Return the words that must all occur in a row's search text, the longest, which most rows lack, first.

    Raises Invalid when `text` is longer than 1000 characters.
    """
    if len(text) > _LONGEST:
        raise Invalid(f"a search of {len(text)} characters is too long", hint=f"use at most {_LONGEST}")
    return sorted(text.casefold().split(), key=len, reverse=True)


def _lines(values: Iterable[Any]) -> list[str]:
    found: list[str] = []
    for value in values:
        if isinstance(value, str):
            found.append(value)
        elif isinstance(value, list | tuple):
            found.extend(str(item) for item in value)
    return found
