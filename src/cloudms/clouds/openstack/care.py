"""What stands on a VM: labels, group, lease, protection, name; taking one into care; and its console."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from cloudms.clouds import notes
from cloudms.clouds.base import Adopt, Console, Lease, Metadata, Rename
from cloudms.clouds.openstack import describe, marks, tags
from cloudms.clouds.openstack.core import TAGGED
from cloudms.clouds.openstack.making import Making
from cloudms.clouds.openstack.order import HOSTNAMES
from cloudms.clouds.view import origin_of
from cloudms.errors import Conflict, Exists, Invalid, NotFound, NotReady, Unsupported
from cloudms.model import Origin, Vm, VmState

_CONSOLE_BYTES = 64 * 1024
_CONSOLE_LINES = 2000
_CHANGES = frozenset((VmState.RUNNING, VmState.STOPPED, VmState.SAVED, VmState.SUSPENDED))
"""States in which nova takes metadata, whatever it is at."""


class Caring(Making, Metadata, Adopt, Rename, Console, Lease):
    """Metadata, the name, the lease, and the console of a VM."""

    def tag_vm(self, vm: Vm) -> Vm:
        """Put labels, group, lease and protection on the server.

        Raises: Conflict (not in our care, locked), Invalid, NotReady (nova takes none while it is made, resized or
        shelved).
        """
        row, region = self.find(vm)
        old = self.own(row, "labelled")
        now = old.with_(
            labels=dict(vm.labels), group=vm.group, expires=vm.expires, protected=vm.protected,
            keep_stopped=vm.keep_stopped,
        )  # fmt: skip
        pairs = {key: value for key, value in now.pairs().items() if key != notes.TOKEN}
        present = tags.plain(row)
        ours = (notes.GROUP, notes.EXPIRES, notes.PROTECTED, notes.KEEP_STOPPED)
        labels = [key for key in present if not marks.is_ours(key) or key.startswith(marks.LABEL)]
        return self.noun(self.change(row, region, pairs, (*ours, *labels)), region)

    def change(
        self, row: dict[str, Any], region: str, pairs: dict[str, str], drop: tuple[str, ...] = ()
    ) -> dict[str, Any]:
        """Change metadata, and say in which state that cannot be. Raises: NotReady, Conflict (locked)."""
        try:
            return self.put_tags(row, region, pairs, drop)
        except Conflict as error:
            vm = self.noun(row, region)
            if "locked" in error.message or vm.state in _CHANGES:
                raise
            raise NotReady(
                f"vm '{vm.name}' is {vm.state}: nova keeps no metadata of it now",
                hint="try again when it runs or is off",
                details={"vm": vm.name, "state": str(vm.state)},
            ) from None  # fmt: skip

    def renew_vm(self, vm: Vm) -> Vm:
        """Let the timer inside the guest count to `expires`, which it reads from the metadata.

        Raises: Unsupported (made without a timer), Conflict (made by somebody else), NotReady.
        """
        row, region = self.find(vm)
        old = self.own(row, "renewed")
        if not old.timer:
            raise Unsupported(
                f"vm '{old.name}' was made without a timer: only sweeps end it", hint="cms sweep, or boot it with --ttl"
            )
        said = {notes.EXPIRES: notes.end_text(vm.expires, timer=True)}
        return self.noun(self.change(row, region, said), region)

    def adopt_vm(self, vm: Vm) -> Vm:
        """Put token and owner of `vm` on a server made elsewhere, or by another catalog; nothing else changes.

        Raises: Invalid (no token), NotFound, NotReady.
        """
        if not vm.token:
            raise Invalid(f"vm '{vm.name}' has no token to be adopted with", hint="give it one")
        row, region = self.find(vm)
        old = tags.of(row)
        if origin_of(old, self.setup.owner) is not Origin.FOREIGN:
            return self.noun(row, region)
        if describe.is_gone(row):
            raise NotFound(f"vm '{vm.name}' is deleted", hint="cms vm list")
        before = self.noun(row, region)
        pairs = {
            notes.TOKEN: vm.token, notes.OWNER: vm.owner or self.setup.owner, notes.ADOPTED: "yes",
            notes.LOGIN: vm.login or old.login or before.login,
            **({notes.IMAGE: vm.image} if vm.image and vm.image != before.image else {}),
        }  # fmt: skip
        self._retag(row, region, vm.token)
        batch = tuple(key for key in tags.plain(row) if key == notes.BATCH or key.startswith(notes.NAMES))
        return self.noun(self.change(row, region, pairs, batch), region)

    def _retag(self, row: dict[str, Any], region: str, token: str) -> None:
        """Put the tag of a token on a server in place of another of ours: by it the server is found."""
        if self.link.version("compute", region) < TAGGED:
            return
        path, old = f"/servers/{row['id']}/tags", [str(tag) for tag in row.get("tags") or ()]
        self.link.put("compute", f"{path}/{quote(tags.tag(token), safe='')}", None, region)
        for tag in old:
            if tag.startswith(notes.PREFIX) and tag != tags.tag(token):
                self.drop("compute", f"{path}/{quote(tag, safe='')}", region)

    def rename_vm(self, vm: Vm, name: str) -> Vm:
        """Give it another name. Raises: Exists (another VM of the owner has it), Invalid (nova does not take it)."""
        row, region = self.find(vm)
        mark = tags.of(row)
        if row.get("name") == name:
            return self.noun(row, region)
        for _name, other in self.named([name], region) if mark.owner else ():
            if other["id"] != row["id"] and tags.of(other).owner == mark.owner:
                raise Exists(f"there is a vm {name} already in {region}", hint="choose another name")
        if mark.batch and mark.token and self.link.version("compute", region) < HOSTNAMES:
            names = tuple(key for key in tags.plain(row) if key == notes.BATCH or key.startswith(notes.NAMES))
            row = self.change(row, region, {notes.TOKEN: mark.token}, names)  # its name alone told its number
        reply = self.link.put("compute", f"/servers/{row['id']}", {"server": {"name": name}}, region)
        return self.noun({**row, **(reply.get("server") or {})}, region)

    def console_log(self, vm: Vm) -> str:
        """Return what the guest printed on its console, the last 64 KiB of what nova keeps."""
        row, region = self.find(vm)
        asked = {"os-getConsoleOutput": {"length": _CONSOLE_LINES}}
        try:
            reply = self.act(row, region, asked)
        except Conflict:
            return ""  # it has not printed anything yet, or its host does not keep it now
        return str(reply.get("output") or "").encode()[-_CONSOLE_BYTES:].decode(errors="ignore")
