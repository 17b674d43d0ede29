"""Labels, group, lease and protection on the domain; and taking a VM made elsewhere into care."""

from __future__ import annotations

from cloudms.clouds.base import Adopt, Metadata
from cloudms.clouds.libvirt.core import Core
from cloudms.clouds.libvirt.link import talks
from cloudms.clouds.libvirt.tags import Tags
from cloudms.clouds.view import origin_of
from cloudms.errors import Invalid
from cloudms.model import Origin, Vm


class Caring(Core, Metadata, Adopt):
    """What stands on a VM and not in it."""

    @talks
    def tag_vm(self, vm: Vm) -> Vm:
        """Put labels, group, lease, protection and whether it is kept stopped on the domain. Raises: Conflict."""
        with self.changing(vm) as (domain, seen):
            old = self.own(seen, "labelled")
            tags = old.with_(
                labels=dict(vm.labels), group=vm.group, expires=vm.expires, protected=vm.protected,
                keep_stopped=vm.keep_stopped,
            )  # fmt: skip
            if tags != old:
                self.keep(domain, tags)
            return self.noun(seen.with_(tags=tags))

    @talks
    def adopt_vm(self, vm: Vm) -> Vm:
        """Put token and owner of `vm` on a domain made elsewhere, or by another catalog; nothing else changes.

        The names of files that another catalog of cloudms made stay, and they go with the VM when it is deleted.
        Raises: Invalid (no token), NotFound.
        """
        if not vm.token:
            raise Invalid(f"vm '{vm.name}' has no token to be adopted with", hint="give it one")
        with self.changing(vm) as (domain, seen):
            old = seen.tags or Tags()
            if origin_of(seen.tags, self.setup.owner) is not Origin.FOREIGN:
                return self.noun(seen)
            tags = old.with_(
                token=vm.token, files=old.file_token, owner=vm.owner or self.setup.owner, adopted=True,
                login=vm.login or old.login,
            )  # fmt: skip
            return self.noun(seen.with_(tags=self.keep(domain, tags)))
