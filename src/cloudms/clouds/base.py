"""The contract of a cloud: seven required methods, and roles it may add.

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
from cloudms.errors import NotFound, Unsupported
from cloudms.model import (
    Address,
    Flavor,
    Image,
    Key,
    Location,
    Origin,
    Quota,
    Rule,
    SecGroup,
    Snapshot,
    Vm,
    VmSpec,
    VmState,
    Volume,
    VolumeSnapshot,
)
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


class Price(Record):
    """What a thing costs per hour (per GiB where it has a size), in which currency, and when that was asked."""

    per_hour: float
    currency: str = "USD"
    fetched: float | None = None


class Leftover(Record):
    """A thing on the cloud that carries our tag but belongs to no VM the catalog knows.

    `kind` is what it is (disk, seed, forward, address, key …), `id` how the cloud names it, `token` whose it was,
    `age` seconds since it was made when known, `reason` one sentence, `size` in bytes, `region` where it is,
    `price_per_hour` what it costs where the cloud tells it with the list.
    """

    kind: str
    id: str
    name: str = ""
    token: str = ""
    age: float | None = None
    reason: str = ""
    size: int | None = None
    region: str = ""
    price_per_hour: float | None = None


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
    ours_only: ClassVar[tuple[type[Role], ...]] = ()
    """Roles that stand on what cloudms wrote on a VM or beside it: for one made elsewhere they are refused."""
    lacks: ClassVar[Mapping[type[Role], str]] = {}
    """Why it has no use for some of the roles that it does not have."""

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

    def find_image(self, name: str, flavor: str = "", region: str = "") -> Image:
        """Return the image that `create_vm` would take for what a person calls `name`. Raises: NotFound.

        Clouds with words of their own for images (aliases, patterns), or too many to list, answer it themselves.
        """
        for image in self.list_images():
            if name in (image.name, image.id):
                return image
        raise NotFound(f"cloud '{self.name}' has no image '{name}'", hint=f"cms image list --cloud {self.name}")

    def find_flavor(self, name: str, region: str = "") -> Flavor:
        """Return the flavor that `create_vm` would take for `name`. Raises: NotFound."""
        for flavor in self.list_flavors():
            if name in (flavor.name, flavor.id):
                return flavor
        raise NotFound(f"cloud '{self.name}' has no flavor '{name}'", hint=f"cms flavor list --cloud {self.name}")

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
        if not isinstance(self, role):
            return self.lacks.get(role, f"{self.kind} has no {role.name}")
        if vm is not None and vm.origin is Origin.FOREIGN and role in self.ours_only:
            return f"it was made elsewhere: cms vm adopt {vm.name}"
        return ""


class Role:
    """Base of the roles; `name` is the word for people, the docstring its line in the table of roles."""

    name: ClassVar[str] = ""


class Batch(Role, ABC):
    """Boot many VMs with one request."""

    name = "batch"

    @abstractmethod
    def create_vms(self, specs: Sequence[VmSpec], report: Report = silent) -> list[Vm]:
        """Make and start VMs that differ in name, hostname and token only, all or none; return them in this order.

        Their tokens are those of one batch, `TOKEN.1` to `TOKEN.N` in the order of `specs`; a second call with the
        same tokens returns the same VMs.

        Raises: what `create_vm` raises.
        """

    @abstractmethod
    def get_vms(self, vms: Sequence[Vm]) -> dict[str, Vm]:
        """Return what the cloud says of several VMs, by their key; those it does not have are left out."""


class Lease(Role, ABC):
    """A VM ends itself when its lease does, without cloudms."""

    name = "lease"

    @abstractmethod
    def renew_vm(self, vm: Vm) -> Vm:
        """Keep the `expires` of `vm` on the cloud, and let the timer inside count to it (None, or protected: never).

        `create_vm` does so with that of the spec. Raises: NotReady (the cloud keeps it, the guest cannot be told now),
        Unsupported (it was made without a timer).
        """


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
    """Freeze with memory kept, in place or (state `saved`) on disk, and go on."""

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
    deallocated: ClassVar[VmState] = VmState.DEALLOCATED
    """The state that it has then: `stopped` on a cloud that bills every stopped VM for its disks only."""

    @abstractmethod
    def deallocate_vm(self, vm: Vm) -> Vm:
        """Stop it and give back its place."""


class Resize(Role, ABC):
    """Change the flavor of a VM."""

    name = "resize"
    grows_disk: ClassVar[bool] = True
    """Whether the disk grows with the flavor, so that a VM cannot go back to a flavor with a smaller one."""

    @abstractmethod
    def resize_vm(self, vm: Vm, flavor: str) -> Vm:
        """Give it another flavor; `reason` of the result says whether it takes effect now or at the next start.

        Raises: NotFound (flavor), Invalid (a smaller disk).
        """


class ConfirmResize(Role, ABC):
    """The cloud itself waits after a resize (state `awaiting_confirm`) and keeps the old place until it is told.

    On clouds without it the engine brings the old flavor back by another resize, from its own record.
    """

    name = "confirm"

    @abstractmethod
    def confirm_vm(self, vm: Vm) -> Vm:
        """Keep the new flavor; success when nothing waits for it. Raises: NotReady (it is still being resized)."""

    @abstractmethod
    def revert_vm(self, vm: Vm) -> Vm:
        """Go back to the old flavor. Raises: NotReady (nothing waits for it)."""


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
        """Yield new console output until the caller stops; by default `console_log` is asked again and again.

        While there is none, it yields an empty text every second or so: only then can a caller stop.
        """
        seen = ""
        while True:
            text = self.console_log(vm)
            yield text[len(seen) :] if text.startswith(seen) else text
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
        """Take the address away and release it; one that the account had before, or that outlives its VM, stays there.

        Already gone is success.
        """


class AddressPool(Role, ABC):
    """Public addresses that are had, and paid for, also without a VM.

    They have a token of their own, which `list_addresses` tells: `remove_address` and the end of their VM leave them.
    """

    name = "address pool"

    @abstractmethod
    def create_address(self, token: str, region: str = "") -> Address:
        """Take an address into the account; idempotent by token. Raises: NoCapacity, NotFound (region)."""

    @abstractmethod
    def delete_address(self, address: Address) -> None:
        """Give it back; already gone is success. Raises: Conflict while it leads to a VM."""

    @abstractmethod
    def detach_address(self, vm: Vm, address: str) -> Vm:
        """Take the address away from `vm` and keep it in the account; already gone is success.

        One that was the VM's own gets a token that begins with the same eight digits (`pool.kept_token`).
        """


class Volumes(Role, ABC):
    """Disks that outlive their VM."""

    name = "volumes"

    @abstractmethod
    def list_volumes(self) -> Iterable[Volume]:
        """Return the volumes (no root disks), each with its token; `state` is `attached` or `available`."""

    @abstractmethod
    def create_volume(
        self, name: str, size_gib: int, token: str, labels: Mapping[str, str], region: str = ""
    ) -> Volume:
        """Make an empty volume in `region` (a region or zone; empty: where the cloud's VMs are); idempotent by token.

        Raises: Exists, NoCapacity, Invalid or NotFound (no such region).
        """

    @abstractmethod
    def delete_volume(self, volume: Volume) -> None:
        """Delete it; already gone is success. Raises: Conflict while attached, or while its snapshots hold it."""

    @abstractmethod
    def attach_volume(self, volume: Volume, vm: Vm) -> Volume:
        """Attach it and say where (`device`). Raises: Conflict when attached elsewhere."""

    @abstractmethod
    def detach_volume(self, volume: Volume) -> Volume:
        """Detach it; already detached is success."""

    @abstractmethod
    def tag_volume(self, volume: Volume) -> Volume:
        """Put the labels of `volume` on the cloud. Raises: NotFound."""


class ResizeVolume(Role, ABC):
    """Make a volume larger."""

    name = "volume resize"

    @abstractmethod
    def resize_volume(self, volume: Volume, size_gib: int) -> Volume:
        """Make it `size_gib` large; as large already is success. Raises: Invalid (smaller), NotReady (attached)."""


class VolumeSnapshots(Role, ABC):
    """Keep what is on a volume at a time, and make volumes of it."""

    name = "volume snapshots"

    @abstractmethod
    def list_volume_snapshots(self) -> Iterable[VolumeSnapshot]:
        """Return the snapshots of volumes (none that are the disks of images), each with its token."""

    @abstractmethod
    def create_volume_snapshot(self, volume: Volume, name: str, token: str) -> VolumeSnapshot:
        """Keep what is on `volume` now; idempotent by token. Raises: Exists, NotReady (it must be detached first)."""

    @abstractmethod
    def delete_volume_snapshot(self, snapshot: VolumeSnapshot) -> None:
        """Forget it; already gone is success. Raises: Conflict while volumes stand on it."""

    @abstractmethod
    def restore_volume(
        self, snapshot: VolumeSnapshot, name: str, token: str, labels: Mapping[str, str], region: str = ""
    ) -> Volume:
        """Make a volume of what was kept, in `region` as `create_volume` does; idempotent by token.

        Raises: Exists, NotFound, NoCapacity, NotReady (the snapshot is still being written).
        """


class SecGroups(Role, ABC):
    """Security groups: named sets of firewall rules that VMs are in (`options["secgroups"]` of a spec: names or ids).

    They come beside the group that lets SSH in. Raises, where a VM is made: NotFound (no such group there).
    """

    name = "security groups"

    @abstractmethod
    def list_secgroups(self) -> Iterable[SecGroup]:
        """Return the security groups with their rules."""

    @abstractmethod
    def create_secgroup(self, name: str, description: str, token: str, region: str = "") -> SecGroup:
        """Make one that lets nothing in; idempotent by token. Raises: Exists."""

    @abstractmethod
    def delete_secgroup(self, group: SecGroup) -> None:
        """Delete it; already gone is success. Raises: Conflict while VMs are in it."""

    @abstractmethod
    def add_rule(self, group: SecGroup, rule: Rule) -> SecGroup:
        """Let something through; the same rule again is success. Raises: NotFound, Invalid."""

    @abstractmethod
    def remove_rule(self, group: SecGroup, rule: Rule) -> SecGroup:
        """Stop letting it through; a rule that is not there is success. Raises: NotFound (group)."""


class Spread(Role, ABC):
    """Boot the VMs of one request on different hosts (`options["spread"]` of their specs: a token that they share)."""

    name = "spread"


class ImageStore(Role):
    """Images are brought to the cloud from the local image store when they are first used."""

    name = "images"


class DeleteImages(Role, ABC):
    """Images can be deleted on the cloud."""

    name = "image delete"

    @abstractmethod
    def delete_image(self, image: Image) -> None:
        """Delete the image from the cloud; already gone is success. Raises: Conflict while VMs stand on it."""


class ImageQuery(Record):
    """Which images are wanted: those of `owners` (empty: of everybody), of one `arch`, with `text` in their name, and
    of one `region` (empty: of every configured one).
    """

    owners: tuple[str, ...] = ()
    arch: str = ""
    text: str = ""
    region: str = ""


class ImageBatch(Record):
    """Some of the images of a list; `left` is, when it has changed, what is to do once all so far are kept (JSON);
    `last` says that the list is complete.
    """

    images: Sequence[Image] = ()
    left: Mapping[str, Any] | None = None
    last: bool = False


class ImagePages(Role, ABC):
    """Lists of a hundred thousand images in seconds, which go on where a refresh broke off."""

    name = "image pages"

    @abstractmethod
    def image_queries(self, query: ImageQuery | None = None) -> Sequence[ImageQuery]:
        """Return what to walk for a query, or for the images that are listed when nothing is said: one per region."""

    @abstractmethod
    def walk_images(
        self, query: ImageQuery, left: Mapping[str, Any] | None = None, *, many: bool = False
    ) -> Iterator[ImageBatch]:
        """Yield the images of one region as they arrive, from several places at once and in no order.

        Parameters: `left`, what an earlier walk of this query left to do; `many`, whether thousands are expected.
        An image may come twice. Raises, after all that came: what keeps the rest from coming.
        """


class Metrics(Role, ABC):
    """CPU, memory and disk use as the cloud sees it."""

    name = "metrics"

    @abstractmethod
    def metrics(self, vms: Sequence[Vm]) -> Mapping[str, Mapping[str, float]]:
        """Return by VM key what is measured: numbers that only grow, or what was used lately.

        cpu_seconds (total of all vCPUs), or cpu_percent (of all its vCPUs together) with `at`, the epoch seconds when
        that was; cpu_denied_seconds (total that all vCPUs wanted to run and the host had no processor for them);
        memory_used_mib, memory_mib, disk_read_bytes, disk_write_bytes, net_rx_bytes, net_tx_bytes (totals).
        VMs of which nothing is known are left out: no number is no load of zero.
        """


class MetricsHistory(Role, ABC):
    """What VMs used in the past, as the cloud has kept it."""

    name = "metrics history"

    @abstractmethod
    def history(self, vms: Sequence[Vm], seconds: float) -> Mapping[str, Sequence[Mapping[str, float]]]:
        """Return by VM key what was measured in the last `seconds`, oldest first.

        Each sample has `at` (epoch seconds) and what was measured then: cpu_percent (of all vCPUs together, as many as
        the VM had then), memory_used_mib. VMs of which nothing is known are left out.
        """


class Prices(Role, ABC):
    """What a flavor costs, and other things."""

    name = "prices"

    @abstractmethod
    def price(self, flavor: str, region: str = "") -> Flavor:
        """Return the flavor with `price_per_hour`, `currency` and `price_fetched`, asked for this one alone.

        Raises: NotFound (no such flavor there, or the cloud has no price for it).
        """

    def thing_price(self, what: str, region: str = "") -> Price:
        """Return what an `address`, or a GiB of a `volume` or `volume_snapshot`, costs. Raises: NotFound."""
        raise NotFound(f"cloud '{self.name}' tells no price of a {what}", details={"region": region})


class Quotas(Role, ABC):
    """How much the account may have, and has."""

    name = "quotas"

    @abstractmethod
    def list_quotas(self) -> Iterable[Quota]:
        """Return the limits of the account, with what is used of them where the cloud says it."""


class Spot(Role, ABC):
    """Cheaper VMs that the cloud may take back (`options["spot"]` of a VM's spec)."""

    name = "spot"


class OpenPorts(Role, ABC):
    """Ports beside SSH that are opened to everybody for one VM (`options["open"]` of its spec; see `clouds.ports`).

    Raises, where the VM is made: Invalid (no port).
    """

    name = "open ports"


class PrivateNetwork(Role, ABC):
    """A network between the VMs of one person (`network` of their specs: `private`)."""

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
