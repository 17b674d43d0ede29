"""The one path that every call on the fake cloud takes: journal, fault, state, reply."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar
from zlib import crc32

from cloudms.clouds.base import Cloud, Setup
from cloudms.clouds.fake import faults, machine, options, views
from cloudms.clouds.fake.faults import Fault
from cloudms.clouds.fake.store import Doc, Store
from cloudms.errors import NotFound, NotReady
from cloudms.model import Vm

T = TypeVar("T")


class FakePipe(Cloud):
    """What all parts of the fake cloud share."""

    kind = "fake"
    default_flavor = "small"
    simulated = True
    width = 16
    default_wait = "ready"

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self.options = options.read(setup.options)
        self.store = Store(self.options.file(setup.name))

    def begin(self, call: str, name: str = "", *args: object) -> Fault | None:
        """Note the call and let a fault strike that comes before the work; return one that comes with or after it."""
        if self.options.calls:
            digest = f"{crc32(repr(args).encode()):08x}"
            self.store.note({"at": self.clock.now(), "call": call, "name": name, "args": digest})
        fault = faults.strike(self.store, faults.gather(self.store, self.options.faults), call, name)
        if fault is None:
            return None
        error = faults.refusal(fault, self.name)
        if error:
            raise error
        if fault.fault == "dies_before":
            faults.die()
        if fault.fault == "slow":
            self.clock.sleep(fault.seconds)
        return fault

    def end(self, fault: Fault | None) -> None:
        """Let a fault strike that comes after the work."""
        if fault and fault.fault == "dies_after_accepting":
            faults.die()
        if fault and fault.fault == "loses_reply":
            raise faults.lost(fault, self.name)

    def ask(self, call: str, name: str, reply: Callable[[Doc, float], T], *args: object) -> T:
        """Answer a reading call."""
        fault = self.begin(call, name, *args)
        found = reply(self.world(), self.clock.now())
        self.end(fault)
        return found

    def alter(self, call: str, name: str, work: Callable[[Doc, float], T], *args: object) -> T:
        """Carry out a changing call on the state."""
        fault = self.begin(call, name, *args)
        with self.changing() as (world, now):
            done = work(world, now)
        self.end(fault)
        return done

    def listing(self, call: str, rows: Callable[[Doc, float], Iterable[T]], name: str = "") -> Iterator[T]:
        """Return the rows one after another; only the fault `partial_list` strikes between them."""
        fault = self.begin(call, name)
        found = list(rows(self.world(), self.clock.now()))
        self.end(fault)
        return self._hand_out(found, fault)

    def _hand_out(self, found: list[T], fault: Fault | None) -> Iterator[T]:
        partial = fault is not None and fault.fault == "partial_list"
        for index, row in enumerate(found):
            if partial and fault is not None and index >= fault.after:
                break
            yield row
        if partial:
            raise NotReady(
                f"cloud '{self.name}' broke off in the middle of a list", hint="ask again", details={"simulated": True}
            )

    def world(self) -> Doc:
        """Return the state for reading; the foreign VMs of the settings are entered when they are missing."""
        world = self.store.read()
        if set(self.options.foreign) <= set(world["seeded"]):
            return world
        with self.changing() as (changed, _now):
            return changed

    @contextmanager
    def changing(self) -> Iterator[tuple[Doc, float]]:
        """Yield the state under its lock and the time; what the block did is kept unless it raises."""
        with self.store.change() as world:
            now = self.clock.now()
            self.sweep(world, now)
            for name in self.options.foreign:
                if name not in world["seeded"]:
                    world["seeded"].append(name)
                    self.seed(world, name, now)
            yield world, now

    def seed(self, world: Doc, name: str, now: float) -> None:
        """Enter a VM that somebody else made."""

    def living(self, world: Doc, now: float) -> Iterator[Doc]:
        """Yield every VM that is still listed, settled."""
        for doc in world["vms"].values():
            if not machine.vanished(doc, now):
                yield machine.settled(doc, now)

    def sweep(self, world: Doc, now: float) -> None:
        """Forget the VMs that are gone."""
        for identity in [key for key, doc in world["vms"].items() if machine.vanished(doc, now)]:
            del world["vms"][identity]

    def find(self, world: Doc, vm: Vm, now: float) -> Doc:
        """Return the settled VM with the id (or, when it has none, the token) of `vm`. Raises: NotFound."""
        doc = world["vms"].get(vm.id) if vm.id else None
        if not vm.id and vm.token:
            doc = next((each for each in world["vms"].values() if each["token"] == vm.token), None)
        if doc is None or machine.vanished(doc, now):
            raise NotFound(
                f"cloud '{self.name}' has no vm '{vm.name}'",
                details={"cloud": self.name, "vm": vm.name, "id": vm.id},
            )
        return machine.settled(doc, now)

    def show(self, world: Doc, vm: Doc, now: float) -> Vm:
        """Return a VM as the noun that the owner of this connection sees."""
        return views.vm(world, machine.settled(vm, now), self.name, self.setup.owner, now)

    def keep(self, world: Doc, vm: Doc, now: float) -> Vm:
        """Put a VM into the state and return it as it is at once."""
        world["vms"][vm["id"]] = machine.settled(vm, now)
        return self.show(world, vm, now)

    def identity(self, world: Doc, vm: Vm, now: float) -> str:
        """Return the id of `vm`, or an empty string when it is gone."""
        try:
            return str(self.find(world, vm, now)["id"])
        except NotFound:
            return ""

    def number(self, world: Doc, what: str) -> str:
        """Return a fresh id."""
        world["next"] += 1
        return f"{what}-{world['next'] - 1:06x}"
