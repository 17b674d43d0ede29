"""Every cloud that the contract of clouds is tested on: a new cloud is one `Subject` here."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from tests.aws.emulator import Lab
from tests.images import provide
from tests.live.openstack import lab as openstack
from tests.live.openstack import lending
from tests.live.openstack.accounts import METER, Account
from tests.live.openstack.places import ONE

from cloudms import registry
from cloudms.clock import Clock, ManualClock, SystemClock
from cloudms.clouds.base import Cloud, Role, Setup
from cloudms.errors import CloudmsError, NotFound
from cloudms.model import Flavor, Vm, VmSpec, VmState
from cloudms.record import Record

OWNER = "ada"
OTHER = "grace"
SECRET = "user-data-secret-4711"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g ada@lab"
OTHER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICAfHh0cGxoZGBcWFRQTEhEQDw4NDAsKCQgHBgUEAwIB ada@lab"

AMI_NAME = "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-20250610"

SDKS = ("libvirt", "boto3", "botocore", "openstack", "keystoneauth1", "azure", "libcloud", "htcondor", "classad")
"""Packages that importing a cloud must not bring with it."""


class Subject(Record):
    """A cloud under test.

    `image` and `flavor` are what its VMs are made of, `larger` a flavor they can be resized to (empty: the next that
    is larger); `prepare` makes what it needs in a folder and returns its options, `credentials` its secrets from
    those, and `dismantle` takes it away; `missing` says why it cannot be tested here, or nothing; `clock` makes the
    clock that its connections share. `patience` is how many seconds a change of state may take and `poll` how often
    it is looked at; `crowd` how many VMs are made at once; `unique_names` whether two VMs cannot share a name; `sdk`
    the package it stands on; `prompt` what its guest prints on the console when it has booted, and `settle` the
    seconds from there until it listens to the power button. `live` ones run against something real, `services` among
    them against servers, which boot no machine here.
    """

    kind: str
    label: str = ""
    image: str = ""
    flavor: str = ""
    larger: str = ""
    credentials: Callable[[Mapping[str, Any]], Mapping[str, str]] = lambda _options: {}
    dismantle: Callable[[Mapping[str, Any]], None] = lambda _options: None
    prepare: Callable[[Path], Mapping[str, Any]] = lambda _folder: {}
    missing: Callable[[], str] = lambda: ""
    clock: Callable[[], Clock] = SystemClock
    patience: float = 120.0
    poll: float = 0.2
    crowd: int = 8
    unique_names: bool = True
    sdk: str = ""
    prompt: str = ""
    settle: float = 0.0
    live: bool = False
    services: bool = False

    @property
    def cls(self) -> type[Cloud]:
        """Return the class, which imports no SDK."""
        found: type[Cloud] = registry.load("cloudms.clouds", self.kind)
        return found

    def has(self, *roles: type[Role]) -> bool:
        """Whether the cloud has all of the roles."""
        return all(issubclass(self.cls, role) for role in roles)


def fake_options(**more: Any) -> Callable[[Path], Mapping[str, Any]]:
    """Return what prepares a fake cloud: transitions take time, which passes when the tests sleep."""
    times = {"boot_seconds": 2, "stop_seconds": 1, "change_seconds": 1, "delete_seconds": 1, "linger_seconds": 2}
    return lambda folder: {"state": str(folder / "state.json"), **times, **more}


@contextmanager
def home(folder: Path) -> Iterator[Path]:
    """Let everything of cloudms stand in `folder` for a while."""
    before = os.environ.get("CLOUDMESH_CONFIG_DIR")
    os.environ["CLOUDMESH_CONFIG_DIR"] = str(folder)
    try:
        yield folder
    finally:
        os.environ.pop("CLOUDMESH_CONFIG_DIR")
        if before is not None:
            os.environ["CLOUDMESH_CONFIG_DIR"] = before


def libvirt_options(folder: Path) -> Mapping[str, Any]:
    """Provide the micro image and make a folder for a pool of its own."""
    provide("micro", folder)
    pool = Path(tempfile.mkdtemp(prefix="cms-contract-", dir="/var/tmp"))
    pool.chmod(0o711)  # QEMU's own user has to come through
    return {"pool": pool.name, "pool_path": str(pool)}


def libvirt_away(options: Mapping[str, Any]) -> None:
    """Take away the pool with its folder."""
    import libvirt

    from cloudms.clouds.libvirt.host import default_uri

    with suppress(libvirt.libvirtError):
        pool = libvirt.open(default_uri()).storagePoolLookupByName(options["pool"])
        if pool.isActive():
            pool.destroy()
        pool.undefine()
    shutil.rmtree(options["pool_path"], ignore_errors=True)


def without_libvirt() -> str:
    """Return why libvirt cannot be tested here, or nothing."""
    if find_spec("libvirt") is None:
        return "libvirt-python is not installed"
    return "" if shutil.which("qemu-system-x86_64") else "QEMU is not installed"


LABS: dict[str, Lab] = {}
"""Pretended AWS servers by their URL."""


def aws_options(_folder: Path) -> Mapping[str, Any]:
    """Start a pretended AWS and return the settings of a cloud on it, which looks at two regions."""
    lab = Lab(boot_seconds=0.3, stop_seconds=0.3, delete_seconds=0.3, visible_seconds=0.0)
    lab.start()
    LABS[lab.endpoint] = lab
    return {"endpoint": lab.endpoint, "region": "us-east-1", "regions": ["us-east-1", "eu-west-1"], "hibernate": True}


def aws_away(options: Mapping[str, Any]) -> None:
    """Stop the pretended AWS."""
    LABS.pop(options["endpoint"]).stop()


def without_moto() -> str:
    """Return why AWS cannot be pretended here, or nothing."""
    missing = [package for package in ("boto3", "moto") if find_spec(package) is None]
    return f"{' and '.join(missing)} is not installed" if missing else ""


ACCOUNTS: dict[str, tuple[Account, ExitStack]] = {}
"""Accounts in the lab by their project, with what is to be done when they are no longer needed."""


PRICES = {"m1.tiny": 0.01, "m1.small": 0.02, "address": 0.005, "volume": 0.0001, "volume_snapshot": 0.00005}


def openstack_options(_folder: Path) -> Mapping[str, Any]:
    """Start the lab if it does not run, and return the settings of a cloud that a new account has there."""
    stack = ExitStack()
    lab = stack.enter_context(openstack.borrowed())
    stack.enter_context(openstack.calm())
    account = lab.account(roles=[METER])
    stack.callback(lab.wipe, account)
    ACCOUNTS[account.name] = account, stack
    return {"region": ONE.name, "project": account.name, "prices": PRICES}


def openstack_away(options: Mapping[str, Any]) -> None:
    """Take the account away with all it has left."""
    ACCOUNTS.pop(options["project"])[1].close()


SUBJECTS = (
    Subject(
        kind="fake", image="micro", flavor="nano", prepare=fake_options(foreign=["theirs"]), clock=ManualClock, poll=0.5
    ),
    Subject(
        kind="fake", label="fake-lax", image="ubuntu-24.04", flavor="small", clock=ManualClock, unique_names=False,
        prepare=fake_options(unique_names=False, confirm_resize=False, boot_seconds=0, linger_seconds=0),
    ),
    Subject(
        kind="aws", image=AMI_NAME, flavor="t3.micro", larger="t3.small", prepare=aws_options, dismantle=aws_away,
        credentials=lambda options: LABS[options["endpoint"]].credentials, missing=without_moto, sdk="boto3",
        patience=30.0, poll=0.1, live=True, services=True,
    ),
    Subject(
        kind="libvirt", image="micro", flavor="tiny", prepare=libvirt_options, dismantle=libvirt_away, crowd=4,
        missing=without_libvirt, sdk="libvirt", prompt="press Enter", settle=8.0, live=True,
    ),
    Subject(
        kind="openstack", image="blank", flavor="m1.tiny", prepare=openstack_options,
        credentials=lambda options: ACCOUNTS[options["project"]][0].login, dismantle=openstack_away,
        missing=lending.missing, sdk="keystoneauth1", poll=0.3, crowd=4, live=True,
        services=True,
    ),
)  # fmt: skip


class Bench:
    """One subject with its connections and one VM that the cases share, so that slow clouds boot few."""

    def __init__(self, subject: Subject, folder: Path) -> None:
        self.subject = subject
        self.folder = folder
        self.home = folder / ".cloudmesh"
        self.clock = subject.clock()
        self.options = subject.prepare(folder)
        self.made: dict[str, Vm] = {}
        self.opened: list[Cloud] = []
        self.cloud = self.open()
        self._shared: VmSpec | None = None

    def open(self, owner: str = OWNER) -> Cloud:
        """Return a new connection."""
        secrets = self.subject.credentials(self.options)
        setup = Setup(name="bench", options=self.options, credentials=lambda: secrets, owner=owner, clock=self.clock)
        self.opened.append(self.subject.cls(setup))
        return self.opened[-1]

    def has(self, role: type[Role]) -> bool:
        """Whether the cloud has `role`."""
        return self.subject.has(role)

    def spec(self, name: str = "", **more: Any) -> VmSpec:
        """Return a request for a VM with a name and a token that nothing else has."""
        token = uuid.uuid4().hex
        values = {"image": self.subject.image, "flavor": self.subject.flavor, "owner": OWNER, "keys": (KEY,), **more}
        return VmSpec(name=name or f"cms-contract-{token[:8]}", token=token, **values)

    def create(self, name: str = "", **more: Any) -> Vm:
        """Make a VM, which is deleted at the end."""
        spec = self.spec(name, **more)
        return self.keep((self.cloud if spec.owner == OWNER else self.open(spec.owner)).create_vm(spec))

    def keep(self, vm: Vm) -> Vm:
        """Remember a VM so that it is deleted at the end, and return it."""
        self.made[vm.id] = vm
        return vm

    @property
    def shared_spec(self) -> VmSpec:
        """Return the request that the shared VM was made from."""
        if self._shared is None:
            self._shared = self.spec(user_data=f"#cloud-config\n# {SECRET}\n")
        return self._shared

    def vm(self, *states: VmState) -> Vm:
        """Return the shared VM as it is now, or when it has reached one of `states`; made when it is first needed."""
        vm = self.keep(self.cloud.create_vm(self.shared_spec))
        return self.wait(vm, *states) if states else self.cloud.get_vm(vm)

    def wait(self, vm: Vm, *states: VmState, patience: float | None = None) -> Vm:
        """Return `vm` when it has reached one of `states`."""
        deadline = self.clock.monotonic() + (patience or self.subject.patience)
        while True:
            seen = self.cloud.get_vm(vm)
            if seen.state in states:
                return seen
            assert self.clock.monotonic() < deadline, f"{vm.name} is {seen.state} ({seen.reason}), not {states}"
            assert VmState.ERROR in states or seen.state is not VmState.ERROR, f"{vm.name}: {seen.reason}"
            self.clock.sleep(self.subject.poll)

    def running(self) -> Vm:
        """Return the shared VM, running."""
        vm = self.vm()
        if vm.state is VmState.AWAITING_CONFIRM:
            vm = self.cloud.confirm_vm(vm)  # type: ignore[attr-defined]
        if vm.state is VmState.RESIZING:
            vm = self.wait(vm, *(state for state in VmState if not state.transient))
        if vm.state is VmState.SUSPENDED:
            vm = self.cloud.resume_vm(vm)  # type: ignore[attr-defined]
        if vm.state is VmState.STOPPING:
            vm = self.cloud.stop_vm(vm, force=True)  # type: ignore[attr-defined]
        if vm.state in (VmState.STOPPED, VmState.SAVED, VmState.DEALLOCATED):
            vm = self.cloud.start_vm(vm)  # type: ignore[attr-defined]
        return self.wait(vm, VmState.RUNNING)

    def stopped(self) -> Vm:
        """Return the shared VM, switched off."""
        vm = self.running()
        return self.wait(self.cloud.stop_vm(vm, force=True), VmState.STOPPED)  # type: ignore[attr-defined]

    def booted(self) -> Vm:
        """Return the shared VM when its guest listens to the power button, as far as its cloud or console tell."""
        if self.cloud.ready(self.vm()) is not None:
            vm = self.running()
            self.eventually(lambda: self.cloud.ready(vm) == "", f"{vm.name} is ready")
        elif self.subject.prompt:
            log: Callable[[Vm], str] = self.cloud.console_log  # type: ignore[attr-defined]
            before = log(self.stopped()).count(self.subject.prompt)
            vm = self.running()
            self.eventually(lambda: log(vm).count(self.subject.prompt) > before, f"{vm.name} has booted")
            self.clock.sleep(self.subject.settle)
        return self.running()

    def eventually(self, question: Callable[[], object], what: str) -> None:
        """Ask until the answer is true."""
        deadline = self.clock.monotonic() + self.subject.patience
        while not question():
            assert self.clock.monotonic() < deadline, f"not in {self.subject.patience} s: {what}"
            self.clock.sleep(self.subject.poll)

    def gone(self, vm: Vm) -> bool:
        """Whether the cloud says that `vm` is gone."""
        try:
            return self.cloud.get_vm(vm).state is VmState.TERMINATED
        except NotFound:
            return True

    def delete(self, vm: Vm) -> None:
        """Delete a VM and wait until it is gone."""
        self.cloud.delete_vm(vm)
        self.eventually(lambda: self.gone(vm), f"{vm.name} is deleted")
        self.made.pop(vm.id, None)

    def other_flavor(self, vm: Vm) -> str:
        """Return a flavor to which `vm` can be resized: another one whose disk is not smaller."""
        if self.subject.larger:
            return next(each for each in (self.subject.larger, self.subject.flavor) if each != vm.flavor)
        flavors = {flavor.name: flavor for flavor in self.cloud.list_flavors()}
        return min(self._larger(flavors, flavors[vm.flavor]), key=lambda each: each.memory_mib).name

    def _larger(self, flavors: Mapping[str, Flavor], now: Flavor) -> Iterator[Flavor]:
        for each in flavors.values():
            if each.name != now.name and each.disk_gib >= now.disk_gib and each.memory_mib > now.memory_mib:
                yield each

    def close(self) -> None:
        """Delete what was made."""
        owners = {cloud.setup.owner: cloud for cloud in self.opened}
        with home(self.home):
            for vm in self.made.values():
                with suppress(CloudmsError, KeyError):
                    owners[self.cloud.get_vm(vm).owner].delete_vm(vm)
            for cloud in self.opened:
                cloud.close()
            self.subject.dismantle(self.options)


def needs(*roles: type[Role]) -> pytest.MarkDecorator:
    """Mark a case that runs on the clouds that have these roles."""
    return pytest.mark.needs.with_args(*roles)


def ghost(owner: str = OWNER) -> Vm:
    """Return a VM that no cloud has."""
    return Vm(name="cms-contract-ghost", id=str(uuid.UUID(int=0x60057)), token=uuid.uuid4().hex, owner=owner)
