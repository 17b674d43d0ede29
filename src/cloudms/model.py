"""The nouns of the house: what exists, as frozen data that every door shows the same way.

A noun becomes a *document* (`to_document`) when it is stored and a *public object* (`to_public`) when it is shown:
times are then RFC 3339 text and the provider's raw reply is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, ClassVar

from cloudms.clock import iso
from cloudms.record import Record


class VmState(StrEnum):
    """The one state machine of a VM on every cloud."""

    PENDING = "pending"
    """Asked for; the cloud is making it or has not confirmed it yet."""
    RUNNING = "running"
    """It has power. Ways out: stop, suspend, reboot, delete."""
    STOPPING = "stopping"
    """Asked to shut down. After its deadline `vm stop` switches it off."""
    STOPPED = "stopped"
    """Off, its disks kept; some clouds still bill it. Ways out: start, delete."""
    DEALLOCATED = "deallocated"
    """Off and its place given back, so that only disks are billed. Way out: start."""
    SUSPENDING = "suspending"
    """On its way to suspended or saved."""
    SUSPENDED = "suspended"
    """Frozen with its memory kept in place. Way out: resume."""
    SAVED = "saved"
    """Off with its memory on disk (hibernated, managed save). Way out: start or resume."""
    REBOOTING = "rebooting"
    """Starting again."""
    RESIZING = "resizing"
    """Changing its flavor."""
    AWAITING_CONFIRM = "awaiting_confirm"
    """Resized; waits for confirm or revert."""
    REBUILDING = "rebuilding"
    """Getting a new image."""
    TERMINATING = "terminating"
    """Being deleted; the record is kept until the cloud says it is gone."""
    TERMINATED = "terminated"
    """Gone; some clouds still list it for a while."""
    ERROR = "error"
    """The cloud says it failed; `reason` says why. Ways out: start, reboot, delete."""
    UNKNOWN = "unknown"
    """The cloud says something this version does not know, or could not be asked."""

    @property
    def transient(self) -> bool:
        """Whether it must end by itself before its deadline."""
        return self in DEADLINES

    @property
    def deadline(self) -> float | None:
        """Seconds after which a transient state is overdue, or None."""
        return DEADLINES.get(self)


DEADLINES: dict[VmState, float] = {
    VmState.PENDING: 600.0,
    VmState.STOPPING: 300.0,
    VmState.SUSPENDING: 300.0,
    VmState.REBOOTING: 300.0,
    VmState.RESIZING: 900.0,
    VmState.REBUILDING: 900.0,
    VmState.TERMINATING: 600.0,
}


class Origin(StrEnum):
    """Who made a thing, which decides what may be done to it without being told by name."""

    OWN = "own"
    """Made by cloudms with this catalog."""
    ADOPTED = "adopted"
    """Made elsewhere and taken into care by `vm adopt`; never deleted by anything automatic."""
    FOREIGN = "foreign"
    """Made elsewhere; listed, started and stopped by name only, never deleted."""


class OperationState(StrEnum):
    """How far a change has come."""

    RUNNING = "running"
    """Its process works on it."""
    DONE = "done"
    """Every step succeeded."""
    PARTIAL = "partial"
    """Some steps failed."""
    FAILED = "failed"
    """No step succeeded."""
    CANCELLED = "cancelled"
    """Stopped on request; steps not begun were not begun."""
    INTERRUPTED = "interrupted"
    """Its process died; `operation resume` or `sweep` ends it."""


TIMES = frozenset(("created", "fetched", "price_fetched", "expires", "since", "started", "ended", "at"))


class Noun(Record):
    """What every noun has: name, cloud, the cloud's id, labels, when it was fetched, the raw reply."""

    kind: ClassVar[str] = "noun"
    schema: ClassVar[int] = 1
    columns: ClassVar[tuple[str, ...]] = ("name", "cloud", "id")

    name: str
    cloud: str = ""
    id: str = ""
    region: str = ""
    labels: Mapping[str, str] = {}
    fetched: float | None = None
    raw: Mapping[str, Any] = {}

    @property
    def key(self) -> str:
        """Return the catalog key: unique among nouns of this kind."""
        return f"{self.cloud}/{self.id or self.name}"

    def to_public(self) -> dict[str, Any]:
        """Return what machines are shown: self-describing, times as RFC 3339, no raw reply."""
        shown: dict[str, Any] = {"kind": self.kind, "schema": self.schema}
        for name, value in self.to_document().items():
            if name != "raw":
                shown[name] = iso(value) if name in TIMES else value
        return shown


class Vm(Noun):
    """A virtual machine.

    `token` is the idempotency token of its creation and its catalog key; `login` the user name SSH wants;
    `ssh_host` and `ssh_port` where SSH answers; `expires` the end of its lease (epoch seconds);
    `reason` why it is in its state; `since` when it entered it (epoch seconds).
    """

    kind: ClassVar[str] = "vm"
    columns: ClassVar[tuple[str, ...]] = (
        "name", "cloud", "state", "image", "flavor", "public_ips", "private_ips", "group", "created",
    )  # fmt: skip

    state: VmState = VmState.UNKNOWN
    reason: str = ""
    since: float | None = None
    image: str = ""
    flavor: str = ""
    public_ips: tuple[str, ...] = ()
    private_ips: tuple[str, ...] = ()
    group: str = ""
    owner: str = ""
    created: float | None = None
    expires: float | None = None
    origin: Origin = Origin.OWN
    protected: bool = False
    keep_stopped: bool = False
    token: str = ""
    login: str = ""
    ssh_host: str = ""
    ssh_port: int = 22
    ssh_key: str = ""
    price_per_hour: float | None = None

    def __post_init__(self) -> None:
        """Accept plain JSON values for the enums and tuples."""
        own = self.__dict__
        own["state"] = VmState(self.state)
        own["origin"] = Origin(self.origin)
        own["public_ips"] = tuple(self.public_ips)
        own["private_ips"] = tuple(self.private_ips)

    @property
    def key(self) -> str:
        """Return the catalog key: the creation token of our own, else cloud and id."""
        return self.token or f"{self.cloud}/{self.id or self.name}"


class VmSpec(Record):
    """What to boot: the request that `create_vm` receives, complete and without any default left open.

    `token` makes the creation idempotent and is kept on the cloud beside `owner`; an empty `flavor` lets the cloud
    choose by image; `disk_gib` 0 means the image's or flavor's own size; `keys` are public keys in OpenSSH's format;
    `user_data` is passed to the guest verbatim; `options` carries what only one cloud knows (for instance firmware).
    """

    name: str
    token: str
    image: str
    flavor: str
    owner: str = ""
    hostname: str = ""
    keys: tuple[str, ...] = ()
    key_name: str = ""
    labels: Mapping[str, str] = {}
    group: str = ""
    disk_gib: int = 0
    network: str = ""
    user_data: str = ""
    region: str = ""
    expires: float | None = None
    options: Mapping[str, Any] = {}


class Image(Noun):
    """A disk image a VM can boot from; sizes in bytes."""

    kind: ClassVar[str] = "image"
    columns: ClassVar[tuple[str, ...]] = ("name", "cloud", "id", "os", "arch", "size", "login", "created")

    os: str = ""
    arch: str = ""
    size: int | None = None
    login: str = ""
    state: str = ""
    digest: str = ""
    created: float | None = None


class Flavor(Noun):
    """A size of VM: `vcpus`, `memory_mib`, `disk_gib`, and its price per hour in `currency` where it has one."""

    kind: ClassVar[str] = "flavor"
    columns: ClassVar[tuple[str, ...]] = ("name", "cloud", "vcpus", "memory_mib", "disk_gib", "price_per_hour")

    vcpus: int = 1
    memory_mib: int = 0
    disk_gib: int = 0
    price_per_hour: float | None = None
    currency: str = "USD"
    price_fetched: float | None = None


class Key(Noun):
    """A public SSH key; `private_path` names the private half on this machine, which is never stored."""

    kind: ClassVar[str] = "key"
    columns: ClassVar[tuple[str, ...]] = ("name", "cloud", "type", "fingerprint", "comment")

    type: str = ""
    fingerprint: str = ""
    public: str = ""
    comment: str = ""
    private_path: str = ""
    created: float | None = None


class Location(Noun):
    """A place of a cloud: a region, zone or host."""

    kind: ClassVar[str] = "location"
    columns: ClassVar[tuple[str, ...]] = ("name", "cloud", "region", "country", "state")

    country: str = ""
    state: str = "available"


class Volume(Noun):
    """A disk that outlives its VM; `size_gib` in GiB, `vm` the name of the VM it is attached to, `device` where.

    `token` is the idempotency token of its creation, which clouds return for what cloudms made.
    """

    kind: ClassVar[str] = "volume"
    columns: ClassVar[tuple[str, ...]] = ("name", "cloud", "id", "size_gib", "vm", "device", "state", "created")

    size_gib: int = 0
    vm: str = ""
    device: str = ""
    state: str = "available"
    owner: str = ""
    token: str = ""
    created: float | None = None
    price_per_hour: float | None = None

    @property
    def key(self) -> str:
        """Return the catalog key: the creation token of our own, else cloud and id."""
        return self.token or f"{self.cloud}/{self.id or self.name}"


class Snapshot(Noun):
    """The state of a VM's disks (and memory, where `memory`) at a time."""

    kind: ClassVar[str] = "snapshot"
    columns: ClassVar[tuple[str, ...]] = ("name", "vm", "cloud", "state", "memory", "created")

    vm: str = ""
    state: str = ""
    memory: bool = False
    parent: str = ""
    created: float | None = None


class Address(Noun):
    """A public address; `vm` is the name of the VM it leads to, `ports` host port → guest port where it forwards."""

    kind: ClassVar[str] = "address"
    columns: ClassVar[tuple[str, ...]] = ("name", "cloud", "vm", "ports")

    vm: str = ""
    ports: Mapping[str, int] = {}


class CloudInfo(Noun):
    """A configured cloud; once checked, whether it can be reached, its `version`, and the `seconds` it took."""

    kind: ClassVar[str] = "cloud"
    columns: ClassVar[tuple[str, ...]] = ("name", "provider", "default", "active", "state", "reason")

    provider: str = ""
    default: bool = False
    active: bool = True
    state: str = ""
    reason: str = ""
    hint: str = ""
    version: str = ""
    seconds: float | None = None
    details: Mapping[str, Any] = {}


class Setting(Noun):
    """A setting (or a counter): `value`, and the `source` it comes from: a variable, `cms set`, a file or built in."""

    kind: ClassVar[str] = "setting"
    columns: ClassVar[tuple[str, ...]] = ("name", "value", "source")

    value: Any = None
    source: str = ""


class Check(Noun):
    """One thing the doctor looked at: `state` is ok, warn or fail; `hint` mends it; `fixed`, what was done about it."""

    kind: ClassVar[str] = "check"
    columns: ClassVar[tuple[str, ...]] = ("state", "name", "message", "hint")

    state: str = "ok"
    message: str = ""
    hint: str = ""
    fixed: str = ""


class Event(Noun):
    """Something that happened: who (`actor`) did what (`action`) to which `target`, and how it ended (`text`)."""

    kind: ClassVar[str] = "event"
    columns: ClassVar[tuple[str, ...]] = ("at", "action", "target", "cloud", "text", "actor")

    at: float = 0.0
    actor: str = ""
    action: str = ""
    target: str = ""
    text: str = ""
    operation: str = ""


class Step(Record):
    """One action on one target: plain data, so that a dry run prints it, an operation stores it, a resume repeats it.

    `params` holds JSON values only and never a secret. `state` is waiting, running, done, failed or cancelled.
    """

    columns: ClassVar[tuple[str, ...]] = ("target", "cloud", "action", "state", "seconds", "error.message")

    action: str
    cloud: str
    target: str
    params: Mapping[str, Any] = {}
    state: str = "waiting"
    error: Mapping[str, Any] | None = None
    result: Mapping[str, Any] | None = None
    seconds: float | None = None


class Operation(Noun):
    """A change: the intent written before the first call, then the record of every step.

    `process` names the process that works on it (host, pid, start), so that a later one can tell whether it lives.
    """

    kind: ClassVar[str] = "operation"
    columns: ClassVar[tuple[str, ...]] = ("name", "verb", "state", "summary", "started", "ended", "actor")

    verb: str = ""
    summary: str = ""
    state: OperationState = OperationState.RUNNING
    steps: tuple[Step, ...] = ()
    actor: str = ""
    process: str = ""
    cancel: bool = False
    started: float | None = None
    ended: float | None = None

    def __post_init__(self) -> None:
        """Accept plain JSON values for the state and the steps."""
        own = self.__dict__
        own["state"] = OperationState(self.state)
        own["steps"] = tuple(s if isinstance(s, Step) else Step.from_document(s) for s in self.steps)


def nouns() -> dict[str, type[Noun]]:
    """Return every noun class by its kind."""
    return {cls.kind: cls for cls in Noun.__subclasses__()}
