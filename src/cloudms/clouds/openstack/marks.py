"""What tells whose a thing beside the VMs is: metadata of volumes and snapshots, descriptions of Neutron's objects.

Neutron takes no metadata, but a description of up to 255 characters at the moment a thing is made
(https://docs.openstack.org/api-ref/network/v2/#standard-attributes-description); tags would come a request later.
Cinder takes letters, digits, `-_:.` and spaces in the keys of metadata
(https://docs.openstack.org/api-ref/block-storage/v3/#create-metadata-for-volume).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, unquote

from cloudms.clouds.notes import OWNER, TOKEN
from cloudms.errors import Invalid
from cloudms.record import Record

LABEL = "cms:label:"
KEPT = "kept by cloudms"
"""What is said of a public address that is for no VM in particular."""
LONGEST = 255
"""Characters of a description, and of a value of metadata."""

_PREFIX = "cms:"
_OTHERS = ("readonly", "attached_mode")
"""Metadata of volumes that Cinder itself shows."""
_SAFE = r"(?!cms:)[A-Za-z0-9\-_:. ]{1,255}"
_MARK = re.compile(r"\s*\[cms:token=(\S*) cms:owner=(\S*)\]\s*$")


class Mark(Record):
    """Whose a thing is: the `token` of its creation and the `owner` of the catalog that asked for it.

    `text` is what people wrote of it, `labels` what they put on it.
    """

    token: str = ""
    owner: str = ""
    text: str = ""
    labels: Mapping[str, str] = {}


def description(token: str, owner: str, text: str = "") -> str:
    """Return the description of a thing of Neutron with our mark at its end. Raises: Invalid (too long)."""
    mark = f"[{TOKEN}={quote(token, safe='.-_~')} {OWNER}={quote(owner, safe='@.-_~')}]"
    said = f"{text} {mark}" if text else mark
    if len(said) > LONGEST:
        raise Invalid(
            f"the description is {len(text)} characters long", hint=f"up to {LONGEST - len(mark) - 1} are possible here"
        )
    return said


def described(row: Mapping[str, Any]) -> Mark:
    """Return our mark in the description of a thing of Neutron, and what else is said there."""
    text = str(row.get("description") or "")
    found = _MARK.search(text)
    if found is None:
        return Mark(text=text)
    return Mark(token=unquote(found[1]), owner=unquote(found[2]), text=text[: found.start()])


def metadata(token: str, owner: str, labels: Mapping[str, str]) -> dict[str, str]:
    """Return the metadata of a thing of Cinder. Raises: Invalid (a label that is too long)."""
    pairs = {key: value for key, value in ((TOKEN, token), (OWNER, owner)) if value}
    for key, value in labels.items():
        kept = key if re.fullmatch(_SAFE, key) and key not in _OTHERS else LABEL + _quoted(key)
        if len(kept) > LONGEST or len(value) > LONGEST:
            raise Invalid(
                f"the label {key[:40]} is too long for OpenStack", hint=f"keys and values up to {LONGEST} characters"
            )
        pairs[kept] = value
    return pairs


def marked(row: Mapping[str, Any]) -> Mark:
    """Return our mark in the metadata of a thing of Cinder, with its labels."""
    pairs: Mapping[str, Any] = row.get("metadata") or {}
    return Mark(
        token=str(pairs.get(TOKEN) or ""), owner=str(pairs.get(OWNER) or ""), text=str(row.get("description") or ""),
        labels=dict(_labels(pairs)),
    )  # fmt: skip


def _labels(pairs: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in pairs.items():
        if key.startswith(LABEL):
            yield _unquoted(key.removeprefix(LABEL)), str(value)
        elif not key.startswith(_PREFIX) and key not in _OTHERS:
            yield key, str(value)


def _quoted(key: str) -> str:
    return re.sub(rb"[^A-Za-z0-9\-_.]", lambda found: b":%02X" % found[0][0], key.encode()).decode()


def _unquoted(text: str) -> str:
    raw = re.sub(rb":([0-9A-F]{2})", lambda found: bytes([int(found[1], 16)]), text.encode())
    return raw.decode(errors="replace")


def is_ours(key: str) -> bool:
    """Whether metadata under this key is ours and no label."""
    return key.startswith(_PREFIX) and not key.startswith(LABEL)
