"""The required part of the contract: reach, list, get, create and delete VMs, images, flavors, leftovers, mending."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cloudms.clouds.base import DeleteImages, ImageStore, Leftover, PrivateNetwork, Reach, Report, UserData, silent
from cloudms.clouds.libvirt import describe, files, forwards
from cloudms.clouds.libvirt.copying import Copying
from cloudms.clouds.libvirt.describe import Seen
from cloudms.clouds.libvirt.link import talks
from cloudms.clouds.libvirt.tags import Tags
from cloudms.clouds.view import origin_of
from cloudms.errors import Conflict, NotFound
from cloudms.model import Flavor, Image, Origin, Vm, VmSpec

KINDS = {"disk": "the disk", "seed": "the first-boot seed", "console": "the console log"}


class Lifecycle(Copying, ImageStore, DeleteImages, PrivateNetwork, UserData):
    """Making and deleting VMs, and the images they stand on."""

    @talks
    def reach(self) -> Reach:
        """Connect and ask for versions. Raises: NotReady, Denied, MissingExtra."""
        begin = self.clock.monotonic()
        conn = self.link.open()
        version = conn.getVersion()
        text = f"{conn.getType()} {_dotted(version)}, libvirt {_dotted(conn.getLibVersion())}"
        details = {"uri": self.uri, "host": conn.getHostname(), "hypervisor": conn.getType(), "version": version}
        return Reach(version=text, account=self.uri, details=details, seconds=self.clock.monotonic() - begin)

    @talks
    def list_vms(self) -> list[Vm]:
        """Return every domain of this libvirt, those of others included."""
        seen = (self.read_safely(domain) for domain in self.domains())
        return [self.noun(each) for each in seen if each is not None]

    @talks
    def get_vm(self, vm: Vm) -> Vm:
        """Return the VM with this id, or else token. Raises: NotFound."""
        return self.noun(self.find(vm)[1])

    @talks
    def create_vm(self, spec: VmSpec, report: Report = silent) -> Vm:
        """Make and start a VM from an image; see `making`. Raises: Exists, NotFound, NoCapacity, Invalid."""
        files.vm_files(spec.token)
        base = self.bases.find(spec.image)
        order = self.order(spec, base)

        def fill(name: str) -> None:
            self.bases.ensure(base, report)
            path = self.bases.path(base, "disk")
            self.pool.create_disk(name, order.size, base=path, base_format=base.format)

        return self.make(order, fill, report)

    @talks
    def delete_vm(self, vm: Vm) -> None:
        """Delete a VM with its disk, seed, log, snapshots and saved memory; attached volumes and images stay.

        The files of an adopted VM stay, too: they were made elsewhere. Raises: Conflict (made by somebody else).
        """
        try:
            with self.changing(vm) as (domain, seen):
                tags = self.own(seen, "deleted")
                self.intend(domain, tags, "delete")
                self.remove(domain, tags.file_token)
        except NotFound:
            if vm.token:
                self.delete_files(vm.token)

    @talks
    def list_images(self) -> list[Image]:
        """Return the images stored on this machine and those already on the hypervisor."""
        return self.bases.images(self.name, self.clock.now())

    @talks
    def delete_image(self, image: Image) -> None:
        """Delete an image from the hypervisor. Raises: Conflict while VMs stand on it."""
        users = [domain.name() for domain in self.domains() if (self.tags(domain) or Tags()).base == image.id]
        if users:
            raise Conflict(f"image '{image.name}' is used by {', '.join(users[:3])}", hint="delete these VMs first")
        if image.id:
            self.bases.delete(image.id)

    def list_flavors(self) -> Iterable[Flavor]:
        """Return the built-in sizes and those of the setting `flavors`."""
        return list(self.flavors().values())

    @talks
    def leftovers(self, known: frozenset[str]) -> list[Leftover]:
        """Return the files that carry a token which no domain has: since domains come first and go last, an accident.

        Parameters: `known` are tokens that are in use although no domain has them yet.
        """
        entries = self.pool.entries()  # before the domains: a file that is here by now had its domain already
        tokens = {tags.file_token for domain in self.domains() if (tags := self.tags(domain))} | known
        now = self.clock.now()
        found = []
        for entry in entries:
            token, kind = files.token_of(entry.name)
            if token and token not in tokens:
                found.append(
                    Leftover(
                        kind=kind, id=entry.name, name=entry.name, token=token, size=entry.size,
                        age=None if entry.changed is None else max(now - entry.changed, 0.0),
                        reason=f"{KINDS[kind]} of a VM that no longer exists",
                    )
                )  # fmt: skip
        return found

    @talks
    def clean(self, leftover: Leftover) -> None:
        """Delete a leftover file, unless a domain has its token by now. Raises: Conflict."""
        token, _kind = files.token_of(leftover.id)
        if not token:
            raise NotFound(f"{leftover.id} is not a file of a VM")
        if any((self.tags(domain) or Tags()).file_token == token for domain in self.domains()):
            raise Conflict(f"{leftover.id} belongs to a VM", hint="list the leftovers again")
        self.pool.delete(leftover.id)

    @talks
    def half_made(self, vm: Vm) -> bool:
        """Whether the domain was defined by a creation that never came to its start."""
        domain = self.lookup(vm)
        if domain is None or domain.isActive():
            return False
        tags = self.tags(domain)
        return tags is not None and tags.intent == "create"

    @talks
    def detached(self, vm: Vm) -> bool:
        """Whether something begun was never ended, or a running VM lacks forwards that its tags name."""
        domain = self.lookup(vm)
        seen = self.read_safely(domain) if domain is not None else None
        if seen is None or seen.tags is None or origin_of(seen.tags, self.setup.owner) is Origin.FOREIGN:
            return False
        if seen.tags.intent in ("rebuild", "copy") or (seen.tags.intent == "create" and seen.active):
            return True
        wired = seen.active and describe.netdev(seen.root)
        return bool(wired) and forwards.rules(seen.tags.forwards) != forwards.present(domain)

    @talks
    def mend(self, vm: Vm) -> Vm:
        """End what a killed run began on a VM (rebuild, copy), and bring back the forwards of a running one."""
        with self.changing(vm) as (domain, seen):
            tags = seen.tags or Tags()
            if origin_of(seen.tags, self.setup.owner) is Origin.FOREIGN:
                return self.noun(seen)
            if tags.intent == "rebuild":
                return self.rebuild(domain, seen, tags.target)
            if tags.intent == "copy":
                tags = self.wake(domain, tags)
                seen = self.read(domain)
            tags = self._mend_intent(domain, seen)
            if seen.active:
                tags = self.open_ports(domain, seen.with_(tags=tags), fresh=False)
            return self.noun(seen.with_(tags=tags))

    def _mend_intent(self, domain: Any, seen: Seen) -> Tags:
        """Forget a creation or a stop that has ended in fact; one that has not stays as it is."""
        tags = seen.tags or Tags()
        ended = (tags.intent == "create" and seen.active) or (tags.intent == "stop" and not seen.active)
        return self.settle(domain, tags) if ended else tags


def _dotted(version: int) -> str:
    """Return libvirt's number of a version as people write it."""
    return f"{version // 1_000_000}.{version // 1000 % 1000}.{version % 1000}"
