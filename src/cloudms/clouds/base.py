"""The contract of a cloud: eight required methods, and roles it may add.

Rules for every cloud (each has a case in tests/contracts/test_cloud.py):

- It MUST take and return nouns, and MUST raise only the errors of `cloudms.errors`.
- It MUST NOT touch the catalog, print, prompt, or wait longer than one call needs: waiting belongs to the engine.
- It MUST be usable from several threads at once.
- Importing its module MUST NOT import its SDK: that happens when the first method is called, and a missing SDK raises
  `MissingExtra`.
- `list_*` MUST follow pages to the end, and MUST NOT drop an entry it cannot understand: a VM in trouble is returned
  with state `error` or `unknown` and the reason.
- `create_vm` MUST be idempotent by `spec.token`: a second call with the same token returns the first VM. It MUST put
  token, owner and name on the cloud, so that another catalog can tell whose it is.
- `delete_vm` MUST succeed when the VM is already gone, and MUST take with it what belongs to the VM alone.
- Every action on a VM MUST succeed when the VM already is in the wanted state.
- `raw` MUST be the provider's reply as it came, minus secrets.

A role is a small class below `Role`; a cloud has a role when it inherits from it. `supports` may still refuse one VM,
with the reason. The engine refuses a missing role before any call.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from cloudms.clock import Clock, SystemClock
from cloudms.errors import Unsupported
from cloudms.model import Address, Flavor, Image, Key, Location, Snapshot, Vm, VmSpec, Volume
from cloudms.record import Record

Report = Callable[[str], None]
"""How a long call tells what it does: one short sentence at a time."""


def silent(_text: str) -> None:
    """Report nothing."""


class Setup(Record):
    """What a cloud is opened with.

    `name` is the cloud's name, `default` its `default` section (image, flavor, login, network, key …), `options` the
    rest of its settings, `credentials` returns the secrets on demand (never kept by the cloud beyond its client),
    `owner` tags what is made (`user@host` of the catalog).
    """

    name: str
    default: Mapping[str, Any] = {}
    options: Mapping[str, Any] = {}
    credentials: Callable[[], Mapping[str, str]] = dict
    owner: str = ""
    clock: Clock = SystemClock()


class Reach(Record):
    """The answer of `Cloud.reach`: `version` and `account` for people, `details` for machines, `seconds` it took."""

    version: str = ""
    account: str = ""
    details: Mapping[str, Any] = {}
    seconds: float = 0.0


class Leftover(Record):
    """A thing on the cloud that carries our tag but belongs to no VM the catalog knows.

    `kind` is what it is (disk, seed, forward, address, key …), `id` how the cloud names it, `token` whose it was,
    `age` seconds since it was made when known, `reason` one sentence.
    """

    kind: str
    id: str
    name: str = ""
    token: str = ""
    age: float | None = None
    reason: str = ""
    size: int | None = None


class Cloud(ABC):
    """The required part, kept small so that every provider can join."""

    kind: ClassVar[str] = ""
    """How the configuration names this provider (`cm.kind`)."""
    extra: ClassVar[str] = ""
    """The optional dependency group that it needs, or empty."""
    width: ClassVar[int] = 8
    """How many calls the engine may have in flight."""
    default_wait: ClassVar[str] = "running"
    """What `vm boot` waits for by default: ready, running or none."""
    default_flavor: ClassVar[str] = ""
    """The flavor of a boot that names none; empty lets the cloud choose by image."""
    costs_money: ClassVar[bool] = True
    """Whether a forgotten VM costs money, which turns leases on by default."""
    simulated: ClassVar[bool] = False
    """Whether its VMs are only pretended: every door says so, and nobody can log in."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.name = setup.name
        self.clock = setup.clock

    @abstractmethod
    def reach(self) -> Reach:
        """Ask the cloud the cheapest question that proves address, credentials and rights.

        Raises: Denied, NotReady, MissingExtra.
        """

    @abstractmethod
    def list_vms(self) -> Iterable[Vm]:
        """Return every VM of the account in the configured regions, those of others included."""

    @abstractmethod
    def get_vm(self, vm: Vm) -> Vm:
        """Return the VM with the id (or, when it has none yet, the token) of `vm`. Raises: NotFound."""

    @abstractmethod
    def create_vm(self, spec: VmSpec, report: Report = silent) -> Vm:
        """Make and start a VM and return it as the cloud first describes it, with its id.

        Raises: Exists (name taken by another token), NotFound (image, flavor), NoCapacity, Invalid.
        """

    @abstractmethod
    def delete_vm(self, vm: Vm) -> None:
        """Delete the VM with everything that belongs to it alone; already gone is success."""

    @abstractmethod
    def list_images(self) -> Iterable[Image]:
        """Return the images that `create_vm` accepts."""

    @abstractmethod
    def list_flavors(self) -> Iterable[Flavor]:
        """Return the sizes that `create_vm` accepts."""

    def ready(self, vm: Vm) -> str | None:
        """Return None when the cloud cannot tell whether one can log in (SSH is then probed), an empty string when one
        can, and otherwise what is being waited for.
        """
        return None

    def leftovers(self, known: frozenset[str]) -> Iterable[Leftover]:
        """Return what carries our tag but none of the `known` tokens; most clouds have nothing beside VMs."""
        return ()

    def clean(self, leftover: Leftover) -> None:
        """Remove one leftover; already gone is success."""

    def half_made(self, vm: Vm) -> bool:
        """Whether `vm` is only what a killed `create_vm` left, and will never run unless that is called again."""
        return False

    def detached(self, vm: Vm) -> bool:
        """Whether `mend` would change something: a crash or restart took forwards or a half-done start from `vm`."""
        return False

    def mend(self, vm: Vm) -> Vm:
        """Bring back what a crash or restart took from a VM (forwards, timers) and return it."""
        return vm

    def close(self) -> None:
        """Give back connections."""

    @classmethod
    def roles(cls) -> tuple[type[Role], ...]:
        """Return the roles this cloud has, in the order of this module."""
        return tuple(role for role in all_roles() if issubclass(cls, role))

    def supports(self, role: type[Role], vm: Vm | None = None) -> str:
        """Return why `role` is not possible (for this `vm`), or an empty string when it is."""
        return "" if isinstance(self, role) else f"{self.kind} has no {role.name}"


class Role:
    """Base of the roles; `name` is the word for people, the docstring its line in the table of roles."""

    name: ClassVar[str] = ""


class Power(Role, ABC):
    """Start and stop."""

    name = "power"

    @abstractmethod
    def start_vm(self, vm: Vm) -> Vm:
        """Give it power; a saved VM continues where it was."""

    @abstractmethod
    def stop_vm(self, vm: Vm, *, force: bool = False) -> Vm:
        """Ask the guest to shut down, or with `force` switch it off; returns at once with the new state."""


class Reboot(Role, ABC):
    """Reboot."""

    name = "reboot"

    @abstractmethod
    def reboot_vm(self, vm: Vm, *, force: bool = False) -> Vm:
        """Restart the guest, or with `force` reset the machine."""


class Suspend(Role, ABC):
    """Freeze with memory kept, and go on."""

    name = "suspend"

    @abstractmethod
    def suspend_vm(self, vm: Vm) -> Vm:
        """Freeze it."""

    @abstractmethod
    def resume_vm(self, vm: Vm) -> Vm:
        """Let it go on; a saved VM is started from its saved memory."""


class Save(Role, ABC):
    """Stop with memory on disk (managed save, hibernation)."""

    name = "save"

    @abstractmethod
    def save_vm(self, vm: Vm) -> Vm:
        """Write memory to disk and switch it off; `start_vm` continues from it."""


class Deallocate(Role, ABC):
    """Stop and give the place back, so that only disks are billed."""

    name = "deallocate"

    @abstractmethod
    def deallocate_vm(self, vm: Vm) -> Vm:
        """Stop it and give back its place."""


class Resize(Role, ABC):
    """Change the flavor of a VM."""

    name = "resize"

    @abstractmethod
    def resize_vm(self, vm: Vm, flavor: str) -> Vm:
        """Give it another flavor; `reason` of the result says whether it takes effect now or at the next start.

        Raises: NotFound (flavor), Invalid (a smaller disk).
        """


class ConfirmResize(Role, ABC):
    """Confirm or revert a resize."""

    name = "confirm"

    @abstractmethod
    def confirm_vm(self, vm: Vm) -> Vm:
        """Keep the new flavor."""

    @abstractmethod
    def revert_vm(self, vm: Vm) -> Vm:
        """Go back to the old flavor."""


class Rename(Role, ABC):
    """Change the name of a VM."""

    name = "rename"

    @abstractmethod
    def rename_vm(self, vm: Vm, name: str) -> Vm:
        """Give it another name. Raises: Exists, NotReady (it must be off)."""


class Rebuild(Role, ABC):
    """Replace the disk of a VM by a fresh one from an image."""

    name = "rebuild"

    @abstractmethod
    def rebuild_vm(self, vm: Vm, image: str) -> Vm:
        """Give it a fresh disk; name, addresses and id stay."""


class CloneVm(Role, ABC):
    """Make a new VM from the disks of another."""

    name = "clone"

    @abstractmethod
    def clone_vm(self, vm: Vm, spec: VmSpec, report: Report = silent) -> Vm:
        """Make and start a VM with the disks of `vm` and a new identity; idempotent by `spec.token`."""


class Snapshots(Role, ABC):
    """Keep and bring back states of a VM."""

    name = "snapshots"

    @abstractmethod
    def list_snapshots(self, vm: Vm | None = None) -> Iterable[Snapshot]:
        """Return the snapshots of `vm`, or all."""

    @abstractmethod
    def create_snapshot(self, vm: Vm, name: str) -> Snapshot:
        """Keep the state of now. Raises: Exists."""

    @abstractmethod
    def revert_snapshot(self, vm: Vm, name: str) -> Vm:
        """Bring back a state. Raises: NotFound."""

    @abstractmethod
    def delete_snapshot(self, vm: Vm, name: str) -> None:
        """Forget a state; already gone is success."""


class Console(Role, ABC):
    """What the guest printed on its console."""

    name = "console"
    clock: Clock

    @abstractmethod
    def console_log(self, vm: Vm) -> str:
        """Return the console output so far (the last 64 KiB where the cloud keeps more)."""

    def follow_console(self, vm: Vm) -> Iterator[str]:
        """Yield new console output until the caller stops; by default `console_log` is asked again and again."""
        seen = ""
        while True:
            text = self.console_log(vm)
            fresh = text[len(seen) :] if text.startswith(seen) else text
            if fresh:
                yield fresh
            seen = text
            self.clock.sleep(1.0)


class Metadata(Role, ABC):
    """Labels and group kept on the cloud beside the VM."""

    name = "labels"

    @abstractmethod
    def tag_vm(self, vm: Vm) -> Vm:
        """Put the labels, group, lease and protection of `vm` on the cloud."""


class Adopt(Role, ABC):
    """Take a VM made elsewhere into care."""

    name = "adopt"

    @abstractmethod
    def adopt_vm(self, vm: Vm) -> Vm:
        """Put owner and token of `vm` on a foreign VM and return it with origin `adopted`."""


class Keys(Role, ABC):
    """Public keys kept on the cloud."""

    name = "keys"

    @abstractmethod
    def list_keys(self) -> Iterable[Key]:
        """Return the keys of the account."""

    @abstractmethod
    def add_key(self, name: str, public: str) -> Key:
        """Store a public key. Raises: Exists when the name has another key; the same key is success."""

    @abstractmethod
    def delete_key(self, name: str) -> None:
        """Delete a key; already gone is success."""


class Locations(Role, ABC):
    """Regions, zones or hosts."""

    name = "locations"

    @abstractmethod
    def list_locations(self) -> Iterable[Location]:
        """Return where VMs can stand."""


class Addresses(Role, ABC):
    """Public addresses of VMs."""

    name = "addresses"

    @abstractmethod
    def list_addresses(self) -> Iterable[Address]:
        """Return every address that cloudms gave or could give to a VM."""

    @abstractmethod
    def set_address(self, vm: Vm, address: str = "", ports: Mapping[str, int] | None = None) -> Vm:
        """Give `vm` the `address` (empty: a free one), where ports are forwarded, host port → guest port.

        Raises: Exists (another VM has it), Invalid, NoCapacity.
        """

    @abstractmethod
    def remove_address(self, vm: Vm, address: str) -> Vm:
        """Take the address away and release it; already gone is success."""


class Volumes(Role, ABC):
    """Disks that outlive their VM."""

    name = "volumes"

    @abstractmethod
    def list_volumes(self) -> Iterable[Volume]:
        """Return the volumes (no root disks), each with its token; `state` is `attached` or `available`."""

    @abstractmethod
    def create_volume(self, name: str, size_gib: int, token: str, labels: Mapping[str, str]) -> Volume:
        """Make an empty volume; idempotent by token. Raises: Exists, NoCapacity."""

    @abstractmethod
    def delete_volume(self, volume: Volume) -> None:
        """Delete it; already gone is success. Raises: Conflict while attached."""

    @abstractmethod
    def attach_volume(self, volume: Volume, vm: Vm) -> Volume:
        """Attach it and say where (`device`). Raises: Conflict when attached elsewhere."""

    @abstractmethod
    def detach_volume(self, volume: Volume) -> Volume:
        """Detach it; already detached is success."""

    @abstractmethod
    def tag_volume(self, volume: Volume) -> Volume:
        """Put the labels of `volume` on the cloud. Raises: NotFound."""


class ImageStore(Role, ABC):
    """Images are brought to the cloud from the local image store when they are first used, and can be deleted there."""

    name = "images"

    @abstractmethod
    def delete_image(self, image: Image) -> None:
        """Delete the image from the cloud; already gone is success. Raises: Conflict while VMs stand on it."""


class Metrics(Role, ABC):
    """CPU, memory and disk use as the cloud sees it."""

    name = "metrics"

    @abstractmethod
    def metrics(self, vms: Sequence[Vm]) -> Mapping[str, Mapping[str, float]]:
        """Return by VM key: cpu_seconds (total), memory_used_mib, memory_mib, disk_read_bytes, disk_write_bytes …"""


class PrivateNetwork(Role, ABC):
    """A network between the VMs of one person."""

    name = "private network"


class UserData(Role, ABC):
    """First-boot data."""

    name = "user data"


def all_roles() -> tuple[type[Role], ...]:
    """Return every role in the order of this module."""
    return tuple(Role.__subclasses__())


def require(cloud: Cloud, role: type[Role], vm: Vm | None = None) -> None:
    """Refuse before any call when `cloud` lacks `role`, or lacks it for `vm`. Raises: Unsupported."""
    reason = cloud.supports(role, vm)
    if reason:
        raise Unsupported(
            f"cloud '{cloud.name}' cannot do this{f' with {vm.name}' if vm else ''}: {reason}",
            hint="cms cloud roles shows which clouds can",
            details={"cloud": cloud.name, "role": role.name},
        )
