"""Leftovers: what carries our token on AWS while no VM or volume of the catalog has it.

One question finds all of them: DescribeTags by the key of the token. Instances are not leftovers (they are listed), and
nor is what still hangs on one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cloudms.clouds import notes
from cloudms.clouds.aws import tags
from cloudms.clouds.aws.addresses import is_kept
from cloudms.clouds.aws.core import Core
from cloudms.clouds.aws.describe import seconds
from cloudms.clouds.base import Leftover
from cloudms.errors import Conflict, Invalid, NotFound
from cloudms.record import Record

_VALUES = 200
"""Values that one filter takes."""


class Kind(Record):
    """A kind of thing: its `word` for people, how it is asked for (`describe`, `rows`) and named (`ident`), how it is
    removed (`delete`, by the field `by`), and the field that says when it was made (`born`).
    """

    word: str
    describe: str
    rows: str
    ident: str
    delete: str
    born: str = ""
    by: str = ""

    @property
    def filter(self) -> str:
        """Return the name of the filter by `ident`: AllocationId is allocation-id."""
        return re.sub(r"(?<!^)([A-Z])", r"-\1", self.ident).lower()


KINDS: Mapping[str, Kind] = {
    "eipalloc": Kind(
        word="address", describe="describe_addresses", rows="Addresses", ident="AllocationId", delete="release_address"
    ),
    "vol": Kind(
        word="volume", describe="describe_volumes", rows="Volumes", ident="VolumeId", delete="delete_volume",
        born="CreateTime",
    ),
    "snap": Kind(
        word="snapshot", describe="describe_snapshots", rows="Snapshots", ident="SnapshotId", delete="delete_snapshot",
        born="StartTime",
    ),
    "sg": Kind(
        word="security group", describe="describe_security_groups", rows="SecurityGroups", ident="GroupId",
        delete="delete_security_group",
    ),
    "key": Kind(
        word="key", describe="describe_key_pairs", rows="KeyPairs", ident="KeyPairId", delete="delete_key_pair",
        born="CreateTime", by="KeyName",
    ),
    "eni": Kind(
        word="network interface", describe="describe_network_interfaces", rows="NetworkInterfaces",
        ident="NetworkInterfaceId", delete="delete_network_interface",
    ),
}  # fmt: skip
"""The kinds of things that a killed boot or delete can leave, by what their ids begin with."""


class Sweeping(Core):
    """Finding and removing what was left."""

    def leftovers(self, known: frozenset[str]) -> Iterable[Leftover]:
        """Yield what carries our tag but none of the `known` tokens and hangs on no instance."""
        owners = known | {notes.base_token(token)[0] for token in known}
        return self.link.each_region(lambda region: self._leftovers_in(region, owners))

    def _leftovers_in(self, region: str, known: frozenset[str]) -> Iterator[Leftover]:
        found: dict[str, dict[str, str]] = {}
        for row in self.link.pages("describe_tags", "Tags", region, Filters=[{"Name": "key", "Values": [notes.TOKEN]}]):
            ident, token = str(row.get("ResourceId")), str(row.get("Value") or "")
            kind = ident.partition("-")[0]
            if kind in KINDS and token and token not in known and notes.base_token(token)[0] not in known:
                found.setdefault(kind, {})[ident] = token
        for kind, tokens in found.items():
            yield from self._free(KINDS[kind], tokens, region)

    def _free(self, kind: Kind, tokens: Mapping[str, str], region: str) -> Iterator[Leftover]:
        """Yield those of the things that hang on nothing."""
        idents = list(tokens)
        for start in range(0, len(idents), _VALUES):
            narrow = [{"Name": kind.filter, "Values": idents[start : start + _VALUES]}]
            for row in self.link.pages(kind.describe, kind.rows, region, Filters=narrow):
                ident = str(row.get(kind.ident))
                if ident in tokens and is_free(row) and not is_kept(row):
                    yield self._leftover(kind, ident, row, tokens[ident], region)

    def _leftover(self, kind: Kind, ident: str, row: Mapping[str, Any], token: str, region: str) -> Leftover:
        born, marks = seconds(row.get(kind.born)) if kind.born else None, tags.of(row)
        size = row.get("Size") or row.get("VolumeSize")
        return Leftover(
            kind=kind.word, id=f"{region}/{ident}", name=marks.name or ident, token=token,
            age=None if born is None else self.clock.now() - born, size=int(size) << 30 if size else None,
            reason=f"a {kind.word} ({row.get('PublicIp') or ident}) made for something that is not there",
            region=region,
        )  # fmt: skip

    def clean(self, leftover: Leftover) -> None:
        """Remove a leftover; already gone is success. Raises: Invalid (another kind), Conflict (in use by now)."""
        region, _, ident = leftover.id.partition("/")
        kind = next((each for each in KINDS.values() if each.word == leftover.kind), None)
        if kind is None or not ident:
            raise Invalid(f"cloud '{self.name}' leaves no {leftover.kind} behind", hint="cms sweep lists what there is")
        narrow = [{"Name": kind.filter, "Values": [ident]}]
        row = next(iter(self.link.pages(kind.describe, kind.rows, region, Filters=narrow)), None)
        if row is None:
            return
        if not is_free(row):
            raise Conflict(f"the {kind.word} {ident} is in use by now", hint="cms vm list --refresh")
        try:
            self.link.call(kind.delete, region, **{kind.by or kind.ident: row[kind.by or kind.ident]})
        except NotFound:
            return


def is_free(row: Mapping[str, Any]) -> bool:
    """Whether a thing hangs on no instance: no attachment, no association, not on its way out."""
    if row.get("AssociationId") or row.get("Attachments"):
        return False
    attachment = row.get("Attachment") or {}
    return not attachment.get("InstanceId") and row.get("State", "available") not in ("deleting", "deleted", "in-use")
