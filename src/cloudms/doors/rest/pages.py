"""Pages of a list: a cursor says where the next one begins, whatever has come and gone meanwhile.

A cursor holds short hashes of the things around the place where a page ended: the next page begins with the first of
those that followed, or after the last of those before it. A client that deletes what it was shown, page by page, misses
nothing; neither does one that is shown the newest first while more is added.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from hashlib import blake2b
from itertools import islice
from typing import Any

from cloudms.errors import Invalid
from cloudms.model import Noun
from cloudms.record import Record

_NEAR = 8
"""How many neighbours on either side a cursor remembers."""
_FURTHEST = 1_000_000_000
"""Things before a page; a cursor that tells of more is none of ours, and no catalog could count that far."""


class Cursor(Record):
    """The place where a page ended: how many came before it, and the hashes of its neighbours, the nearest first.

    `look` names the list itself, while it is kept: there the place is exact.
    """

    place: int
    look: str = ""
    before: tuple[str, ...] = ()
    behind: tuple[str, ...] = ()

    def written(self) -> str:
        """Return it as a word for a query."""
        text = json.dumps([self.place, self.look, self.before, self.behind], separators=(",", ":"))
        return urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read(word: str) -> Cursor:
    """Return the cursor of a word. Raises: Invalid."""
    try:
        place, look, before, behind = json.loads(urlsafe_b64decode(word + "=" * (-len(word) % 4)))
        words = all(isinstance(each, str) for each in [look, *before, *behind])
        if type(place) is not int or not 0 <= place <= _FURTHEST or not words:
            raise ValueError(word)
        return Cursor(place=place, look=look, before=tuple(before), behind=tuple(behind))
    except (ValueError, TypeError, RecursionError):
        raise Invalid("`after` is not a cursor", hint="pass what `next` of the page before was, as it is") from None


def page(
    items: Sequence[Any], cursor: Cursor | None, limit: int, *, same: bool = False
) -> tuple[Sequence[Any], Cursor | None]:
    """Return the page that begins at `cursor`, and the cursor of the next one or None.

    Parameters: `same`, whether `items` are the very list that the cursor was made for.
    """
    begin = cursor.place if cursor and same else _begin(items, cursor) if cursor else 0
    end = begin + limit
    shown = items[begin:end]
    if end >= len(items):
        return shown, None
    before = tuple(_hash(item) for item in islice(reversed(items[max(end - _NEAR, 0) : end]), _NEAR))
    behind = tuple(_hash(item) for item in items[end : end + _NEAR])
    return shown, Cursor(place=end, before=before, behind=behind)


def found(items: Sequence[Any], cursor: Cursor) -> bool:
    """Whether one of the cursor's neighbours is among `items`."""
    known = {_hash(item) for item in items}
    return not known.isdisjoint((*cursor.before, *cursor.behind))


def _begin(items: Sequence[Any], cursor: Cursor) -> int:
    places = {_hash(item): number for number, item in enumerate(items)}
    for word in cursor.behind:
        if word in places:
            return places[word]
    for word in cursor.before:
        if word in places:
            return places[word] + 1
    return min(cursor.place, len(items))


def _hash(item: Any) -> str:
    """Return what tells one thing of a list from the others, also after its state has changed."""
    if not isinstance(item, Noun):
        return _short(json.dumps(item, sort_keys=True, default=str))
    when = getattr(item, "at", "")
    return _short(
        f"{item.kind} {item.key} {item.name} {when} {getattr(item, 'action', '')} {getattr(item, 'what', '')}"
    )


def _short(text: str) -> str:
    return urlsafe_b64encode(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=6).digest()).decode()
