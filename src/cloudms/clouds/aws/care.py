"""What stands on a VM: labels, group, lease, protection, name; taking one into care; and its console."""

from __future__ import annotations

from typing import Any

from cloudms import lease
from cloudms.clouds import notes
from cloudms.clouds.aws import describe, tags
from cloudms.clouds.aws.core import Core
from cloudms.clouds.aws.errors import code_of
from cloudms.clouds.base import Adopt, Console, Lease, Metadata, Rename
from cloudms.clouds.view import origin_of
from cloudms.errors import CloudmsError, Exists, Invalid, NotFound, Unsupported
from cloudms.model import Origin, Vm

_CONSOLE_BYTES = 64 * 1024


class Caring(Core, Metadata, Adopt, Rename, Console, Lease):
    """Tags, the name, the lease, and the console of a VM."""

    def tag_vm(self, vm: Vm) -> Vm:
        """Put labels, group, lease and protection on the instance. Raises: Conflict (not in our care), Invalid."""
        row, region = self.find(vm)
        old = self.own(row, "labelled")
        now = old.with_(
            labels=dict(vm.labels), group=vm.group, expires=vm.expires, protected=vm.protected,
            keep_stopped=vm.keep_stopped, name="",
        )  # fmt: skip
        pairs = {key: value for key, value in now.pairs().items() if key != notes.TOKEN}
        self._keep_safe(row, region, old, vm)
        present = tags.plain(row.get("Tags") or ())
        ours = (notes.GROUP, notes.EXPIRES, notes.PROTECTED, notes.KEEP_STOPPED)
        labels = [key for key in present if key.startswith(tags.LABEL) or key in tags.label_pairs(old.labels)]
        return self.noun(self.put_tags(row, region, pairs, [*ours, *labels]), region)

    def _keep_safe(self, row: dict[str, Any], region: str, old: tags.Tags, vm: Vm) -> None:
        """Let AWS refuse to terminate what is protected, and a guest's own power-off end only what has a lease."""
        if old.protected != vm.protected and row.get("InstanceLifecycle") != "spot":  # AWS does not hold these
            self._attribute(row, region, DisableApiTermination={"Value": vm.protected})
        before, after = old.expires if not old.protected else None, lease.end_of(vm)
        if old.timer and (before is None) != (after is None):
            self._shutdown(row, region, ends=after is not None)

    def _shutdown(self, row: dict[str, Any], region: str, *, ends: bool) -> None:
        """Say whether a shutdown from inside deletes the instance or only stops it; spot instances know no choice."""
        if row.get("InstanceLifecycle") != "spot":
            behavior = {"Value": "terminate" if ends else "stop"}
            self._attribute(row, region, InstanceInitiatedShutdownBehavior=behavior)

    def _attribute(self, row: dict[str, Any], region: str, **attribute: Any) -> None:
        """Change an attribute of an instance; what does not know this one (a spot instance) goes without."""
        try:
            self.link.call("modify_instance_attribute", region, InstanceId=row["InstanceId"], **attribute)
        except Unsupported:
            return

    def renew_vm(self, vm: Vm) -> Vm:
        """Let the timer inside the guest count to `expires`, which it reads from the tags.

        Raises: Unsupported (made without a timer), Conflict (made by somebody else).
        """
        row, region = self.find(vm)
        old = self.own(row, "renewed")
        if not old.timer:
            raise Unsupported(
                f"vm '{old.name}' was made without a timer: only sweeps end it", hint="cms sweep, or boot it with --ttl"
            )
        until = lease.end_of(vm)
        self._shutdown(row, region, ends=until is not None)
        said = {notes.EXPIRES: notes.end_text(vm.expires, timer=True)}
        return self.noun(self.put_tags(row, region, said), region)

    def adopt_vm(self, vm: Vm) -> Vm:
        """Put token and owner of `vm` on an instance made elsewhere, or by another catalog; nothing else changes.

        Raises: Invalid (no token), NotFound.
        """
        if not vm.token:
            raise Invalid(f"vm '{vm.name}' has no token to be adopted with", hint="give it one")
        row, region = self.find(vm)
        old = tags.of(row)
        if origin_of(old, self.setup.owner) is not Origin.FOREIGN:
            return self.noun(row, region)
        if describe.is_gone(row):
            raise NotFound(f"vm '{vm.name}' is deleted", hint="cms vm list")
        pairs = {
            notes.TOKEN: vm.token, notes.OWNER: vm.owner or self.setup.owner, notes.ADOPTED: "yes",
            tags.NAME: old.name or vm.name, notes.LOGIN: vm.login or old.login or self.noun(row, region).login,
        }  # fmt: skip
        batch = [key for key in tags.plain(row.get("Tags") or ()) if key == notes.BATCH or key.startswith(notes.NAMES)]
        return self.noun(self.put_tags(row, region, pairs, batch), region)

    def rename_vm(self, vm: Vm, name: str) -> Vm:
        """Give it another name, here and in AWS's console. Raises: Exists (another VM of the owner has it)."""
        row, region = self.find(vm)
        mark = tags.of(row)
        if mark.owner:
            for other in self.instances(region, Filters=tags.filters(owner=mark.owner)):
                if other["InstanceId"] != row["InstanceId"] and not describe.is_gone(other):
                    self._differs(other, name, region)
        pairs = {tags.SHOWN: name} | ({tags.NAME: name} if mark.token else {})
        return self.noun(self.put_tags(row, region, pairs), region)

    def _differs(self, other: dict[str, Any], name: str, region: str) -> None:
        if tags.of(other).name == name:
            raise Exists(f"there is a vm {name} already in {region}", hint="choose another name")

    def console_log(self, vm: Vm) -> str:
        """Return what the guest printed on its console, the last 64 KiB as EC2 keeps them."""
        row, region = self.find(vm)
        ident = str(row["InstanceId"])
        try:
            reply = self.link.call("get_console_output", region, InstanceId=ident, Latest=True)
        except (Unsupported, Invalid) as error:
            if code_of(error) == "InvalidInstanceID.Malformed":
                raise
            reply = self.link.call("get_console_output", region, InstanceId=ident)  # only Nitro tells the latest
        except CloudmsError as error:
            if error.code != "conflict":
                raise
            return ""  # it has not printed anything yet
        return str(reply.get("Output") or "")[-_CONSOLE_BYTES:]
