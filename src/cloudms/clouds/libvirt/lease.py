"""Leases that a guest keeps by itself, whoever watches or not.

The timer comes in the seed's vendor-data, so that the person's own user data stay as they are. A running guest is told
of a new end by its agent. The seed is written anew as well, for the next start and for disks that are rebuilt or
brought back: the timer follows the later order of the two.
"""

from __future__ import annotations

from cloudms import lease
from cloudms.clouds.base import Lease
from cloudms.clouds.libvirt import describe, files, guest, seed
from cloudms.clouds.libvirt.core import Core
from cloudms.clouds.libvirt.describe import Seen
from cloudms.clouds.libvirt.link import talks
from cloudms.clouds.libvirt.tags import Tags
from cloudms.errors import NotFound, NotReady, Unsupported
from cloudms.model import Vm


class Leasing(Core, Lease):
    """When a VM ends itself."""

    @talks
    def renew_vm(self, vm: Vm) -> Vm:
        """Put `expires` on the domain, into the seed, and into the guest through its agent.

        Raises: NotReady (the guest is on and its agent does not answer; domain and seed are written by then),
        Unsupported (it is off, and its seed is not ours), Conflict (made by somebody else).
        """
        with self.changing(vm) as (domain, seen):
            old = self.own(seen, "renewed")
            tags = old.with_(expires=vm.expires, protected=vm.protected)
            if tags != old:
                self.keep(domain, tags)
            hook = lease.hook(lease.end_of(vm), stamp=self.clock.now())
            written = self._write_seed(tags, hook)
            if seen.active and not self._tell(domain, seen, hook) and domain.isActive():  # else it has ended itself
                raise NotReady(
                    f"the agent in the guest of {vm.name} does not answer",
                    hint=f"cms vm wait {vm.name}",
                    details={"retry": False, "vm": vm.name},
                )
            if not seen.active and not written:
                raise Unsupported(f"{vm.name} is off, and was made without a timer", hint=f"cms vm start {vm.name}")
            return self.noun(seen.with_(tags=tags))

    def _write_seed(self, tags: Tags, hook: str) -> bool:
        """Put the timer into the seed; tell whether there is one of ours."""
        if not tags.file_token:
            return False
        name = files.vm_files(tags.file_token)[1]
        try:
            contents = seed.extract(self.pool.get(name))
        except NotFound:
            return False
        self.pool.replace(name, seed.iso({**contents, seed.VENDOR_DATA: hook.encode()}))
        return True

    def _tell(self, domain: object, seen: Seen, hook: str) -> bool:
        frozen = seen.state == describe.PAUSED
        return not frozen and describe.agent_answers(seen.root) and guest.run_script(domain, hook, self.clock)
