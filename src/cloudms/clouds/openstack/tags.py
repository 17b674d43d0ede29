"""What we keep of a VM in its metadata, so that any catalog can tell whose it is, and the readers of it.

Keys begin with `cms:`; other metadata are labels (`marks`). Nova takes letters, digits, `-_:.` and spaces in keys, 255
characters in keys and values, and as a rule 128 of them
(https://docs.openstack.org/api-ref/compute/#create-or-update-server-metadata-items). A guest may read all of it. The
token stands in a tag of the server, too, since only by tags can a list be narrowed.

VMs of one request share their metadata: `cms:token` is the token of the request, `cms:batch` their number, and
`cms:names` (with `cms:names.2` … when longer than a value) the host list of their names. Nova calls them BASE-1 to
BASE-N, which tells them apart until each has its own name.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from cloudms.clouds import notes
from cloudms.clouds.notes import BATCH, NAMES, PREFIX, TOKEN
from cloudms.clouds.openstack import marks
from cloudms.errors import Invalid

RESIZED, OPENED, SPREAD = "cms:resized-from", "cms:opened", "cms:spread"
MOST = 128
LONGEST = marks.LONGEST
_TAG = 60
"""Characters of a tag of a server."""
_HOST = r"[a-z0-9](?:[a-z0-9-]{0,48}[a-z0-9])?"
"""Names that nova takes as host names as they are, with room for a number."""


class Tags(notes.Notes):
    """Our metadata of one VM; `name` is what it is called there.

    `opened` says whether the request has a group of its own ports, `spread` is the token of those that are to stand on
    different hosts; `resized_from` is the flavor that a resize which is not confirmed came from.
    """

    resized_from: str = ""
    opened: bool = False
    spread: str = ""

    def pairs(self) -> dict[str, str]:
        """Return all metadata as nova keeps it, without that of a batch. Raises: Invalid (more than nova takes)."""
        own = {RESIZED: self.resized_from, OPENED: notes.yes(self.opened), SPREAD: self.spread}
        kept = {key: value for key, value in own.items() if value}
        return checked(self.said() | kept | marks.metadata("", "", self.labels))


def of(row: Mapping[str, Any]) -> Tags:
    """Return our metadata of a server; what cannot be read is as if it were not there."""
    pairs = plain(row)
    found, name = notes.heard(pairs), str(row.get("name") or "")
    base, batch = found["token"], found["batch"]
    index = _index(row, pairs, base) if batch and base else 0
    if batch:
        found["token"] = f"{base}.{index}" if index else ""
    if index:
        listed = notes.names_of(pairs, NAMES)
        name = listed[index - 1] if index <= len(listed) and _is_made_up(name, listed, base) else name
    return Tags(
        **found, name=name, resized_from=pairs.get(RESIZED, ""), opened=pairs.get(OPENED) == "yes",
        spread=pairs.get(SPREAD, ""), labels=marks.marked({"metadata": pairs}).labels,
    )  # fmt: skip


def plain(row: Mapping[str, Any]) -> dict[str, str]:
    """Return the metadata of a server as text."""
    pairs = row.get("metadata")
    return {str(key): str(value) for key, value in pairs.items()} if isinstance(pairs, Mapping) else {}


def tag(token: str) -> str:
    """Return the tag of a server by which its request is found: the token of the request, as nova takes tags."""
    base = notes.base_token(token)[0]
    if len(base) <= _TAG - len(PREFIX) and re.fullmatch(r"[A-Za-z0-9._-]+", base):
        return f"{PREFIX}{base}"
    return f"{PREFIX}{hashlib.sha256(base.encode()).hexdigest()[: _TAG - len(PREFIX)]}"


def checked(pairs: dict[str, str]) -> dict[str, str]:
    """Return metadata when nova takes it. Raises: Invalid (too many, or a key or value too long)."""
    if len(pairs) > MOST:
        raise Invalid(f"{len(pairs)} pieces of metadata are more than the {MOST} that nova takes", hint="fewer labels")
    for key, value in pairs.items():
        if len(key) > LONGEST or len(value) > LONGEST:
            raise Invalid(
                f"what is kept as {key[:40]} is too long for nova", hint=f"keys and values up to {LONGEST} characters"
            )
    return pairs


def base_name(names: Sequence[str], token: str) -> str:
    """Return the name of a request, from which nova makes those of its VMs: NAME-1 to NAME-N where they are so."""
    stem = names[0].removesuffix("-1")
    if re.fullmatch(_HOST, stem) and list(names) == [f"{stem}-{n}" for n in range(1, len(names) + 1)]:
        return stem
    return _made_up(names[0], notes.base_token(token)[0])


def batch_pairs(names: Sequence[str]) -> dict[str, str]:
    """Return the metadata that tells the VMs of one request apart."""
    return {BATCH: str(len(names)), **notes.names_pairs(names, NAMES, LONGEST)}


def _made_up(first: str, token: str) -> str:
    """Return the name of a request whose VMs get other names afterwards: that of its first, and what no other has."""
    word = re.sub(r"[^a-z0-9]+", "-", first.lower()).strip("-")[:30].strip("-") or "vm"
    return f"{word}-{hashlib.sha256(token.encode()).hexdigest()[:8]}"


def made_up(row: Mapping[str, Any]) -> bool:
    """Whether a server of a batch still has the name that nova gave it instead of its own."""
    pairs, name = plain(row), str(row.get("name") or "")
    if not pairs.get(BATCH, "").isdigit():
        return False
    listed = notes.names_of(pairs, NAMES)
    return _is_made_up(name, listed, pairs.get(TOKEN, "")) and name not in listed


def _is_made_up(name: str, listed: Sequence[str], token: str) -> bool:
    return bool(listed) and name.rpartition("-")[0] == _made_up(listed[0], token)


def _index(row: Mapping[str, Any], pairs: Mapping[str, str], token: str) -> int:
    """Return the number of a VM in its request, 0 when nothing tells it.

    Its host name has the number for good (nova shows it since microversion 2.90), its name until it is renamed.
    """
    listed = notes.names_of(pairs, NAMES)
    base = base_name(listed, token) if listed else ""
    for called in (str(row.get("OS-EXT-SRV-ATTR:hostname") or ""), str(row.get("name") or "")):
        stem, _dash, number = called.rpartition("-")
        if stem == base and number.isdigit() and 1 <= int(number) <= int(pairs[BATCH]):
            return int(number)
    name = str(row.get("name") or "")
    return listed.index(name) + 1 if name in listed else 0
