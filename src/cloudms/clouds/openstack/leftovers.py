"""Leftovers: what carries our token on OpenStack while no VM or volume of the catalog has it.

Volumes and their snapshots have the token in their metadata, floating IPs and security groups in their description,
server groups in their name, and snapshots of VMs name the VM that they are of. What hangs on a VM is none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from cloudms.clouds import notes
from cloudms.clouds.base import Leftover
from cloudms.clouds.openstack import marks
from cloudms.clouds.openstack.addresses import Addressing, is_kept
from cloudms.clouds.openstack.beside import Row
from cloudms.clouds.openstack.keeping import Keeping
from cloudms.clouds.openstack.secgroups import Grouping
from cloudms.clouds.openstack.snapshots import Snapshotting
from cloudms.clouds.openstack.spread import Spreading, spread_token
from cloudms.clouds.openstack.times import seconds
from cloudms.clouds.openstack.volumes import held
from cloudms.errors import Conflict, Invalid, NotFound, Unsupported

PLACES = {
    "address": ("network", "/floatingips", "floatingip"),
    "volume": ("volume", "/volumes", "volume"),
    "volume snapshot": ("volume", "/snapshots", "snapshot"),
    "security group": ("network", "/security-groups", "security_group"),
    "server group": ("compute", "/os-server-groups", "server_group"),
    "snapshot": ("image", "/images", ""),
}
"""Kinds of leftovers: service, path and the key of one in an answer."""
_SIZES = {"volume": 30, "volume snapshot": 30, "snapshot": 0}
"""How far to the left a size is to be shifted to be bytes."""


class Sweeping(Keeping, Snapshotting, Addressing, Grouping, Spreading):
    """Finding and removing what was left."""

    def leftovers(self, known: frozenset[str]) -> Iterable[Leftover]:
        """Yield what carries our tag but none of the `known` tokens and hangs on no VM."""
        every = known | {notes.base_token(token)[0] for token in known}
        return self.link.each_region(lambda region: self._leftovers_in(region, every))

    def _leftovers_in(self, region: str, known: frozenset[str]) -> Iterator[Leftover]:
        for kind, row, token in self._tokens_in(region):
            if token and token not in known and notes.base_token(token)[0] not in known:
                yield self._leftover(kind, row, token, region)

    def _tokens_in(self, region: str) -> Iterator[tuple[str, Row, str]]:
        """Yield what carries a token and hangs on no VM."""
        for row in self._floating(region):
            mark = marks.described(row)
            if not row.get("port_id") and not is_kept(mark):
                yield "address", row, mark.token
        inside = self._members_in(region)
        for row in self._groups(region):
            if str(row.get("id")) not in inside:
                yield "security group", row, marks.described(row).token
        for row in self.spread_groups(region):
            if not row.get("members"):
                yield "server group", row, spread_token(str(row["name"]))
        yield from self._disks_in(region)
        gone: dict[str, bool] = {}
        for row in self._kept_states(region):
            server = str(row.get("cms_vm"))
            if server not in gone:
                gone[server] = not self.vm_names([server], region)
            if gone[server]:
                yield "snapshot", row, str(row.get("cms_token") or "")

    def _disks_in(self, region: str) -> Iterator[tuple[str, Row, str]]:
        try:
            for row in self.volume_rows(region):
                if not held(row):
                    yield "volume", row, marks.marked(row).token
            for row in self._kept(region):
                yield "volume snapshot", row, marks.marked(row).token
        except Unsupported:
            return  # there is no Cinder

    def _leftover(self, kind: str, row: Row, token: str, region: str) -> Leftover:
        ident, born = str(row["id"]), seconds(row.get("created_at"))
        name = str(row.get("floating_ip_address") or row.get("name") or ident)
        size = row.get("size") if kind in _SIZES else None
        return Leftover(
            kind=kind, id=f"{region}/{ident}", name=name, token=token, region=region,
            age=None if born is None else self.clock.now() - born,
            size=int(size) << _SIZES[kind] if size else None,
            reason=f"a {kind} ({name}) made for something that is not there",
        )  # fmt: skip

    def clean(self, leftover: Leftover) -> None:
        """Remove a leftover; already gone is success. Raises: Invalid (another kind), Conflict (in use by now)."""
        region, _, ident = leftover.id.partition("/")
        if leftover.kind not in PLACES or not ident:
            raise Invalid(f"cloud '{self.name}' leaves no {leftover.kind} behind", hint="cms sweep lists what there is")
        service, path, key = PLACES[leftover.kind]
        try:
            told: dict[str, Any] = self.link.get(service, f"{path}/{ident}", region)
        except NotFound:
            return
        row: Row = told.get(key) or {} if key else told
        if row.get("port_id") or held(row) or row.get("members"):
            raise Conflict(f"the {leftover.kind} {leftover.name} is in use by now", hint="cms vm list --refresh")
        if leftover.kind == "snapshot":
            self.drop_image(row, region)
        else:
            self.drop(service, f"{path}/{ident}", region)
