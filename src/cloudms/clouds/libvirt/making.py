"""How a VM is made, from an image or from another VM: in an order in which a kill at any moment loses nothing.

The domain is defined first. That reserves its name, and from then on everything else (disk, seed, console log) belongs
to a domain that carries the token: `create_vm` with the same token goes on from wherever it was, `delete_vm` takes all
of it. What is made in one go and then refused by libvirt is taken back at once.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from cloudms import lease
from cloudms.clouds.base import Report
from cloudms.clouds.libvirt import accel, describe, files, flavors, host, network, seed
from cloudms.clouds.libvirt.bases import Base
from cloudms.clouds.libvirt.core import Core, uuid_of
from cloudms.clouds.libvirt.describe import Seen
from cloudms.clouds.libvirt.domain import Machine, PrivateCard, build, limits
from cloudms.clouds.libvirt.errors import is_code
from cloudms.clouds.libvirt.link import sdk
from cloudms.clouds.libvirt.tags import Tags
from cloudms.clouds.ports import numbers
from cloudms.errors import CloudmsError, Conflict, Invalid, NoCapacity, NotFound, NotReady
from cloudms.model import Flavor, Vm, VmSpec
from cloudms.record import Record

GIB = 1 << 30
UNDEFINE = ("MANAGED_SAVE", "SNAPSHOTS_METADATA", "CHECKPOINTS_METADATA")


class Order(Record):
    """What is to be made, checked before anything is: paths are those of the hypervisor, `size` bytes of its disk."""

    spec: VmSpec
    flavor: Flavor
    size: int
    image: str = ""
    base: str = ""
    login: str = ""
    firmware: str = "bios"
    kernel: str = ""
    initrd: str = ""
    cmdline: str = ""
    network: network.Choice = network.Choice()


class Making(Core):
    """The common way of `create_vm`, `clone_vm` and `rebuild_vm`."""

    def flavors(self) -> dict[str, Flavor]:
        """Return the sizes by name."""
        return flavors.table(self.name, self.setup.options)

    def order(self, spec: VmSpec, base: Base) -> Order:
        """Check a request for a VM of an image. Raises: NotFound (region, flavor, network), Invalid, NotReady."""
        if spec.region and spec.region not in (here := (self.link.open().getHostname(), self.uri)):
            raise NotFound(
                f"cloud '{self.name}' is {here[0]} and has no place {spec.region!a}", hint="cms location list"
            )
        flavor = flavors.for_image(self.flavors(), spec.flavor, base.name, base.min_memory_mib)
        kernel, initrd = (self.bases.path(base, part) for part in ("kernel", "initrd"))
        return Order(
            spec=spec, flavor=flavor, size=disk_size(spec, flavor, base.virtual_size), image=base.name, base=base.key,
            login=base.login, firmware=base.firmware, kernel=kernel, initrd=initrd, cmdline=base.cmdline,
            network=self.check_network(spec.network),
        )  # fmt: skip

    def check_network(self, name: str) -> network.Choice:
        """Return what a network name means. Raises: NotFound (libvirt has none of this name), NotReady (it is off)."""
        choice = network.parse(name)
        kind, _, wanted = choice.source.partition(":")
        if kind != "network":
            return choice
        try:
            found = self.link.open().networkLookupByName(wanted)
        except sdk().libvirtError as error:
            if not is_code(error, "NO_NETWORK", "NO_SUPPORT"):
                raise
            hint = f"use user or private, or choose one of: virsh -c {self.uri} net-list"
            raise NotFound(f"libvirt at {self.uri} has no network '{wanted}'", hint=hint) from None
        if not found.isActive():
            raise NotReady(f"network '{wanted}' is off", hint=f"virsh -c {self.uri} net-start {wanted}")
        return choice

    def make(self, order: Order, fill: Callable[[str], Any], report: Report) -> Vm:
        """Make and start the VM of an order, or finish what an earlier run with its token began.

        Parameters: `fill` makes the root disk under the name it is given. Raises: Exists, NoCapacity …
        """
        spec = order.spec
        with self.pool.lock(uuid_of(spec.token), f"vm '{spec.name}'"):
            domain = self.lookup(Vm(name=spec.name, token=spec.token))
            if domain is not None and not _unfinished(self.tags(domain)):
                return self.show(domain)
            begun = domain is None
            if domain is None:
                domain = self.define(order)
            try:
                return self._finish(domain, order, fill, report)
            except (CloudmsError, sdk().libvirtError):
                if begun:
                    with suppress(CloudmsError, sdk().libvirtError):
                        self.remove(domain, spec.token)
                raise

    def define(self, order: Order) -> Any:
        """Define the domain of an order, which reserves its name. Raises: Exists."""
        return self.link.open().defineXML(build(self._machine(order)))

    def _finish(self, domain: Any, order: Order, fill: Callable[[str], Any], report: Report) -> Vm:
        disk, seed_name, _console = files.vm_files(order.spec.token)
        fresh = not domain.isActive()
        if fresh:
            fill(disk)
            self.pool.put(seed_name, self._seed(order, domain))
            report("starting it")
            self.switch_on(domain, fresh=True)
        seen = self.started(domain, self.read(domain))
        tags = self.settle(domain, self.open_ports(domain, seen, fresh=fresh))
        return self.noun(seen.with_(tags=tags))

    def _machine(self, order: Order) -> Machine:
        spec = order.spec
        disk, seed_name, console = (self.pool.path(name) for name in files.vm_files(spec.token))
        chosen = self.acceleration()
        most_vcpus, most_memory = limits(order.flavor.vcpus, order.flavor.memory_mib, chosen)
        where = network.group(spec.owner or self.setup.owner)
        private = PrivateCard(mac=network.mac(spec.token, 1), group=where[0], port=where[1])
        return Machine(
            name=spec.name, uuid=uuid_of(spec.token), tags=self._tags(order), accel=chosen, vcpus=order.flavor.vcpus,
            max_vcpus=most_vcpus, memory_mib=order.flavor.memory_mib, max_memory_mib=most_memory, disk=disk,
            seed=seed_name, console=console, mac=network.mac(spec.token, 0), source=order.network.source,
            private=private if order.network.private else None, kernel=order.kernel, initrd=order.initrd,
            cmdline=order.cmdline, firmware=str(spec.options.get("firmware") or order.firmware),
            machine=str(spec.options.get("machine") or self.setup.options.get("machine") or "q35"),
        )  # fmt: skip

    def _tags(self, order: Order) -> Tags:
        spec, now = order.spec, self.clock.now()
        others = [tags for domain in self.domains() if (tags := self.tags(domain))]
        opened = {port: port for port in numbers(spec.options.get("open"))}
        wanted = network.check_ports(
            {**_ports(self.setup.options), **_ports(spec.options), **opened}.items(), local=self.link.local
        )
        return Tags(
            token=spec.token, owner=spec.owner or self.setup.owner, image=order.image, base=order.base,
            flavor=order.flavor.name, login=str(spec.options.get("login") or order.login), key_name=spec.key_name,
            group=spec.group, labels=spec.labels, created=now, expires=spec.expires, intent="create", intent_at=now,
            private_ip=_private(spec.token, others) if order.network.private else "",
            forwards=self._forwards(spec.token, others, wanted) if order.network.source == "user" else {},
        )  # fmt: skip

    def _forwards(self, token: str, others: list[Tags], ports: dict[int, int]) -> dict[str, dict[int, int]]:
        taken = {(each, port) for tags in others for each, ports in tags.forwards.items() for port in ports}
        found = network.choose(network.endpoints(token, self.outside), taken, probe=self.link.local)
        if found is None:
            raise NoCapacity("no address is free for the VM's SSH", hint="cms vm ip list shows who has them")
        address, port = found
        return {address: {port: 22, **ports}}

    def _seed(self, order: Order, domain: Any) -> bytes:
        spec = order.spec
        root = describe.parse(domain.XMLDesc(0))
        private = (describe.tags_of(root) or Tags()).private_ip
        cards: list[seed.Card] = []
        if private or order.network.source != "user":
            cards.append(seed.Card(mac=network.mac(spec.token, 0)))
        if private:
            cards.append(seed.Card(mac=network.mac(spec.token, 1), address=f"{private}/{network.PRIVATE_PREFIX}"))
        contents = seed.files(
            instance=spec.token, hostname=spec.hostname or seed.hostname(spec.name), keys=spec.keys,
            user_data=spec.user_data, cards=cards,
            vendor_data=lease.hook(spec.expires, stamp=self.clock.now()) if spec.expires else "",
        )  # fmt: skip
        return seed.iso(contents)

    def acceleration(self) -> str:
        """Return `kvm` where the hypervisor really runs guests with it, else `tcg`."""
        setting = str(self.setup.options.get("accel") or "auto")
        if self.link.local or setting != "auto":
            return accel.choose(setting, clock=self.clock, openable=host.kvm_openable(self.uri)).accel
        return "kvm" if "<domain type='kvm'" in self.link.open().getCapabilities() else "tcg"

    def remove(self, domain: Any, token: str) -> None:
        """Take away a domain, and with a `token` the files that are named by it; already gone is success."""
        self.switch_off(domain)
        if token:
            self.delete_files(token)
        self.undefine(domain, nvram=bool(token))

    def undefine(self, domain: Any, *, nvram: bool) -> None:
        """Undefine a domain with all that libvirt keeps of it; already gone is success."""
        libvirt = sdk()
        names = [*UNDEFINE, "NVRAM" if nvram else "KEEP_NVRAM"]
        flags = sum(getattr(libvirt, f"VIR_DOMAIN_UNDEFINE_{name}") for name in names)
        try:
            domain.undefineFlags(flags)
        except libvirt.libvirtError as error:
            if not is_code(error, "NO_DOMAIN") and not (is_code(error, "OPERATION_INVALID") and not _persists(domain)):
                raise

    def delete_files(self, token: str) -> None:
        """Delete the files of the VM with this token; already gone is success."""
        names = set(files.vm_files(token))
        names |= {each.name for each in self.pool.entries() if files.token_of(each.name)[0] == token}
        for name in sorted(names):
            self.pool.delete(name)

    def not_foreign(self, seen: Seen, action: str) -> Tags:
        """Return the tags of a VM whose disk is ours. Raises: Conflict."""
        tags = self.own(seen, action)
        if not tags.file_token:
            raise Conflict(f"vm '{seen.name}' was made elsewhere: its disk will not be {action}")
        return tags


def disk_size(spec: VmSpec, flavor: Flavor, least: int) -> int:
    """Return the bytes of the root disk: what was asked for, else the flavor's, and never less than the image's.

    Raises: Invalid (less than the image was asked for).
    """
    if spec.disk_gib and spec.disk_gib * GIB < least:
        needed = -(-least // GIB)
        raise Invalid(f"a disk of {spec.disk_gib} GiB is too small for the image", hint=f"ask for {needed} GiB or more")
    return max((spec.disk_gib or flavor.disk_gib) * GIB, least)


def _unfinished(tags: Tags | None) -> bool:
    return tags is not None and tags.intent == "create"


def _private(token: str, others: list[Tags]) -> str:
    return network.private_address(token, {tags.private_ip for tags in others})


def _ports(options: Any) -> dict[int, int]:
    """Return the setting `ports`: host port → guest port."""
    wanted = options.get("ports") or {}
    try:
        return {int(port): int(guest) for port, guest in wanted.items()}
    except (AttributeError, TypeError, ValueError):
        raise Invalid(
            f"ports cannot be {wanted!r}", hint="write them as {8080: 80}: host port, then guest port"
        ) from None


def _persists(domain: Any) -> bool:
    try:
        return bool(domain.isPersistent())
    except sdk().libvirtError:
        return False
