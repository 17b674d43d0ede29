"""The required part of the fake cloud: reach, list, get, create and delete VMs, images, flavors, leftovers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from cloudms.clouds.base import Leftover, Reach, Report, Role, silent
from cloudms.clouds.fake import faults, machine, offers, placing, views
from cloudms.clouds.fake.faults import Fault
from cloudms.clouds.fake.pipe import FakePipe
from cloudms.clouds.fake.store import Doc
from cloudms.clouds.ports import ports
from cloudms.errors import Conflict, Exists, Invalid, NoCapacity, NotFound
from cloudms.model import Flavor, Image, Location, Origin, Vm, VmSpec, VmState


class FakeVms(FakePipe):
    """The required methods."""

    def reach(self) -> Reach:
        """Ask for the number of VMs."""
        began = self.clock.monotonic()
        self.begin("reach")
        count = len(self.world()["vms"])
        return Reach(
            version="1", account=self.setup.owner, seconds=self.clock.monotonic() - began,
            details={"vms": count, "state": str(self.store.file), "simulated": True},
        )  # fmt: skip

    def list_vms(self) -> Iterable[Vm]:
        """Return every VM, foreign and terminated ones included."""
        return self.listing(
            "list_vms", lambda world, now: (self.show(world, vm, now) for vm in self.living(world, now))
        )

    def get_vm(self, vm: Vm) -> Vm:
        """Return the VM with the id (or token) of `vm`. Raises: NotFound."""
        return self.ask("get_vm", vm.name, lambda world, now: self.show(world, self.find(world, vm, now), now), vm.id)

    def ready(self, vm: Vm) -> str | None:
        """Return what `vm` still waits for; empty when it has been running for `ready_seconds`."""
        return self.ask("ready", vm.name, lambda world, now: self._missing(self.find(world, vm, now), now), vm.id)

    def _missing(self, vm: Doc, now: float) -> str:
        state = machine.state(vm)
        if state is not VmState.RUNNING:
            return f"{state}: {vm['timeline'][0][2] or 'the simulated guest boots'}"
        if vm.get("detached"):
            return "its forwards, which a restart of the host took"
        left = vm["timeline"][0][0] + self.options.ready_seconds - now
        return "" if left <= 0 else "the first-boot work of the simulated guest"

    def create_vm(self, spec: VmSpec, report: Report = silent) -> Vm:
        """Make a VM and let it boot; idempotent by token.

        Raises: Exists, NotFound (image, flavor, location, key), NoCapacity, Invalid.
        """
        return self.creation("create_vm", spec, report, lambda _world, _now: spec)

    def creation(
        self, call: str, spec: VmSpec, report: Report, request: Callable[[Doc, float], VmSpec], *args: object
    ) -> Vm:
        """Create what `request` asks for once it has been checked against the state."""
        fault = self.begin(call, spec.name, spec.token, spec.image, spec.flavor, *args)
        report("making its disk")
        dies = fault.fault if fault else ""
        with self.changing() as (world, now):
            vm = next((vm for vm in world["vms"].values() if spec.token and vm["token"] == spec.token), None)
            if vm is None:
                wanted = request(world, now)
                self._check(world, wanted, now)
                disk = self.add_disk(world, wanted, now)
                vm = self._add(world, wanted, disk, now) if dies != "dies_midway" else None
            if vm and not vm["boots"] and dies != "dies_half_made":
                self.boot(vm, now, fault)
        if vm is None or dies == "dies_half_made":
            faults.die()
        self.end(fault)
        report("it boots")
        return self.show(world, vm, now)

    def _check(self, world: Doc, spec: VmSpec, now: float) -> None:
        """Refuse a request that cannot be met."""
        if not spec.name or spec.disk_gib < 0:
            raise Invalid("a vm needs a name and a disk that is not negative", hint="give it a name")
        offers.image(self.name, spec.image)
        offers.flavor(self.name, self.flavor_of(spec))
        self._secgroups(world, spec)
        ports(spec.options.get("open"))
        if spec.key_name and not spec.keys and spec.key_name not in world["keys"]:
            raise NotFound(f"cloud '{self.name}' has no key '{spec.key_name}'", hint=f"cms key add {spec.key_name}")
        self.check_name(world, spec.name, now)
        alive = sum(machine.alive(vm, now) for vm in world["vms"].values()) if self.options.quota_vms else 0
        if self.options.quota_vms and alive >= self.options.quota_vms:
            raise NoCapacity(
                f"cloud '{self.name}' allows {self.options.quota_vms} VMs and has {alive}",
                hint="delete a vm or raise quota_vms",
                details={"cloud": self.name, "quota": self.options.quota_vms},
            )

    def flavor_of(self, spec: VmSpec) -> str:
        """Return the flavor that was asked for, or the default one."""
        return spec.flavor or self.default_flavor

    def check_name(self, world: Doc, name: str, now: float, but: str = "") -> None:
        """Refuse a name that another VM than the one with id `but` has. Raises: Exists."""
        if not self.options.unique_names:
            return
        for vm in world["vms"].values():
            same = vm["name"] == name and vm["id"] != but
            if same and machine.state(machine.settled(vm, now)) is not VmState.TERMINATED:
                raise Exists(
                    f"cloud '{self.name}' already has a vm '{name}'",
                    hint="choose another name",
                    details={"cloud": self.name, "vm": name, "id": vm["id"], "owner": vm["owner"]},
                )

    def seed(self, world: Doc, name: str, now: float) -> None:
        """Enter a running VM that somebody else made."""
        spec = VmSpec(name=name, token="", image="debian", flavor="small")
        vm = self._add(world, spec, self.add_disk(world, spec, now), now)
        machine.boot(vm, now, 0)

    def add_disk(self, world: Doc, spec: VmSpec, now: float) -> str:
        """Make the boot disk (or find it, when an earlier try died after this point) and return its id."""
        for identity, disk in world["disks"].items():
            if spec.token and disk["token"] == spec.token and not disk["vm"]:
                return str(identity)
        identity = self.number(world, "disk")
        size = spec.disk_gib or offers.flavor(self.name, self.flavor_of(spec)).disk_gib
        world["disks"][identity] = {
            "token": spec.token, "owner": spec.owner, "name": spec.name, "vm": "", "created": now, "size_gib": size,
        }  # fmt: skip
        world["staged"][offers.image(self.name, spec.image).id] = now
        return identity

    def _add(self, world: Doc, spec: VmSpec, disk: str, now: float) -> Doc:
        """Enter a VM into the state; it does not boot yet."""
        region = self._region(spec)
        number = world["next"]
        identity = self.number(world, "vm")
        vm: Doc = {
            "id": identity, "name": spec.name, "token": spec.token, "owner": spec.owner, "adopted": False,
            "image": offers.image(self.name, spec.image).id, "flavor": self.flavor_of(spec), "region": region.name,
            "labels": dict(spec.labels), "group": spec.group, "expires": spec.expires, "protected": False,
            "keep_stopped": False, "hostname": spec.hostname or spec.name, "keys": list(spec.keys),
            "key_name": spec.key_name, "network": spec.network, "user_data": spec.user_data, "disk": disk,
            "options": dict(spec.options), "host": placing.host(world, spec.options.get("spread"), now),
            "secgroups": self._secgroups(world, spec),
            "contents": disk, "address": views.private_address(self.name, number), "created": now, "boots": [],
            "cpu": 0.0, "counted": now, "load": None, "detached": False,
            "timeline": machine.timeline(now, (0, VmState.PENDING, "its creation was begun and has not ended")),
        }  # fmt: skip
        world["disks"][disk]["vm"] = identity
        world["vms"][identity] = vm
        return vm

    def _region(self, spec: VmSpec) -> Location:
        """Return the zone that was asked for, or the first one. Raises: NotFound."""
        return offers.location(self.name, spec.region) if spec.region else offers.locations(self.name)[0]

    def _secgroups(self, world: Doc, spec: VmSpec) -> list[str]:
        """Return the ids of the security groups of a VM. Raises: NotFound (one of them, or the zone)."""
        return placing.secgroups(world, spec.options.get("secgroups", ()), self._region(spec).name, self.name)

    def boot(self, vm: Doc, now: float, fault: Fault | None, via: VmState = VmState.PENDING) -> None:
        """Let `vm` boot, unless `fault` keeps it from ever getting there."""
        seconds = self.options.boot_seconds if via is VmState.PENDING else self.options.change_seconds
        machine.boot(vm, now, seconds, via)
        if fault and fault.fault == "never_ready":
            vm["timeline"] = machine.timeline(now, (0, via, fault.reason))
        if fault and fault.fault == "error_state":
            reason = fault.reason or "the simulated host has failed"
            vm["timeline"] = machine.timeline(now, (0, via, ""), (seconds, VmState.ERROR, reason))

    def delete_vm(self, vm: Vm) -> None:
        """Delete the VM with its disk, snapshots and addresses; volumes stay. Already gone is success.

        Raises: Conflict (made elsewhere and not adopted).
        """
        fault = self.begin("delete_vm", vm.name, vm.id, vm.token)
        with self.changing() as (world, now):
            doc = world["vms"].get(self.identity(world, vm, now))
            if doc is not None and machine.state(machine.settled(doc, now)) not in machine.ENDED:
                self._check_own(doc)
                self._end_vm(world, machine.settled(doc, now), now)
        self.end(fault)

    def _check_own(self, doc: Doc) -> None:
        """Refuse to delete what others made; a connection without an owner is the provider's own console."""
        if self.setup.owner and views.origin(doc, self.setup.owner) is Origin.FOREIGN:
            raise Conflict(
                f"vm '{doc['name']}' was made elsewhere and will not be deleted", hint=f"cms vm adopt {doc['name']}"
            )

    def _end_vm(self, world: Doc, vm: Doc, now: float) -> None:
        doing, lingering = self.options.delete_seconds, self.options.linger_seconds
        vm["timeline"] = machine.timeline(
            now, (0, VmState.TERMINATING, ""), (doing, VmState.TERMINATED, ""), (lingering, machine.GONE, "")
        )
        world["vms"][vm["id"]] = vm
        world["disks"].pop(vm["disk"], None)
        for address in [ip for ip, doc in world["addresses"].items() if doc["vm"] == vm["id"]]:
            views.part(world, address)
        world["snapshots"] = {key: doc for key, doc in world["snapshots"].items() if doc["vm"] != vm["id"]}
        for volume in world["volumes"].values():
            if volume["vm"] == vm["id"]:
                volume.update(vm="", device="")
        self.sweep(world, now)

    def list_images(self) -> Iterable[Image]:
        """Return the images; `state` is staged for those that a VM has used, else available."""
        return self.listing("list_images", self.images_of)

    def images_of(self, world: Doc, now: float) -> Iterable[Image]:
        """Return the images as they stand in the state."""
        staged = world["staged"]
        images = offers.images(self.name)
        return (each.with_(fetched=now, state="staged" if each.id in staged else "available") for each in images)

    def list_flavors(self) -> Iterable[Flavor]:
        """Return the flavors with their prices."""
        return self.listing(
            "list_flavors", lambda _world, now: (f.with_(fetched=now) for f in offers.flavors(self.name))
        )

    def leftovers(self, known: frozenset[str]) -> Iterable[Leftover]:
        """Return the disks of creations that died before the VM was made."""

        def orphans(world: Doc, now: float) -> Iterator[Leftover]:
            for identity, disk in world["disks"].items():
                if not disk["vm"] and disk["owner"] == self.setup.owner and disk["token"] not in known:
                    yield Leftover(
                        kind="disk", id=identity, name=disk["name"], token=disk["token"], age=now - disk["created"],
                        reason="its vm was never made", size=disk["size_gib"] << 30,
                        price_per_hour=views.price("volume", disk["size_gib"]),
                    )  # fmt: skip

        return self.listing("leftovers", orphans)

    def clean(self, leftover: Leftover) -> None:
        """Delete the disk; already gone is success. Raises: Invalid (another kind)."""
        if leftover.kind != "disk":
            raise Invalid(f"cloud '{self.name}' leaves no {leftover.kind} behind", hint="only disks")
        self.alter("clean", leftover.name, lambda world, _now: world["disks"].pop(leftover.id, None), leftover.id)

    def half_made(self, vm: Vm) -> bool:
        """Whether the creation of this VM died before it let it boot."""
        return self.ask("half_made", vm.name, lambda world, now: self._is(world, vm, now, "boots", []), vm.id)

    def detached(self, vm: Vm) -> bool:
        """Whether `host_restarted` was pretended for this VM and it was not mended since."""
        return self.ask("detached", vm.name, lambda world, now: self._is(world, vm, now, "detached", True), vm.id)

    def _is(self, world: Doc, vm: Vm, now: float, name: str, value: object) -> bool:
        """Whether the field `name` of a VM that is not gone has this value."""
        doc = world["vms"].get(self.identity(world, vm, now), {})
        return name in doc and bool(doc[name] == value)

    def mend(self, vm: Vm) -> Vm:
        """Bring back the forwards that a pretended restart of the host took."""

        def attach(world: Doc, now: float) -> Vm:
            return self.keep(world, {**self.find(world, vm, now), "detached": False}, now)

        return self.alter("mend", vm.name, attach, vm.id)

    def host_restarted(self, vm: Vm) -> None:
        """Pretend that the host of `vm` was restarted: the VM runs on and cannot be reached before it is mended."""

        def lose(world: Doc, now: float) -> None:
            self.keep(world, {**self.find(world, vm, now), "detached": True}, now)

        self.alter("host_restarted", vm.name, lose, vm.id)

    def supports(self, role: type[Role], vm: Vm | None = None) -> str:
        """Return the reason the settings give to refuse `role`, or an empty string."""
        return self.options.refuse.get(role.name, "") or super().supports(role, vm)
