"""What clouds have and the house shows: VMs, groups, images, volumes, addresses and the rest; `Noun` is what all share.

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


TIMES = frozenset(
    ("created", "fetched", "price_fetched", "expires", "since", "started", "ended", "at", "confirm_by", "seen")
)


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
    `ssh_host` and `ssh_port` where SSH answers; `expires` the end of its lease (epoch seconds), `ttl` the seconds that
    were last asked for it (0: never); `reason` why it is in its state; `since` when it entered it (epoch seconds);
    `group` the group it is in, and `booted_for` the one it was booted for, which may delete it;
    `resized_from` the flavor that `vm revert` brings back, and `confirm_by` until when (epoch seconds).
    """

    kind: ClassVar[str] = "vm"
    columns: ClassVar[tuple[str, ...]] = (
        "name", "cloud", "state", "image", "flavor", "public_ips", "private_ips", "group", "expires",
        "created",
    )  # fmt: skip

    state: VmState = VmState.UNKNOWN
    reason: str = ""
    since: float | None = None
    image: str = ""
    flavor: str = ""
    public_ips: tuple[str, ...] = ()
    private_ips: tuple[str, ...] = ()
    group: str = ""
    booted_for: str = ""
    owner: str = ""
    created: float | None = None
    expires: float | None = None
    ttl: float | None = None
    origin: Origin = Origin.OWN
    protected: bool = False
    keep_stopped: bool = False
    token: str = ""
    login: str = ""
    ssh_host: str = ""
    ssh_port: int = 22
    ssh_key: str = ""
    price_per_hour: float | None = None
    resized_from: str = ""
    confirm_by: float | None = None

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


class Group(Noun):
    """VMs under one name, on any clouds: those that were put into it, and those that have the labels of its `selector`.

    `cloud` are the clouds they stand on (a,b), `vms` their names, `size` how many they are, `states` how many are in
    each state. `desired` is the size it should have, never below `min` and above `max` (None: nobody said so).
    `image`, `flavor` and `template` (what else `group create` was told) are what it boots new members from.
    """

    kind: ClassVar[str] = "group"
    columns: ClassVar[tuple[str, ...]] = ("name", "cloud", "size", "desired", "states", "vms")

    size: int = 0
    vms: tuple[str, ...] = ()
    states: Mapping[str, int] = {}
    desired: int | None = None
    min: int | None = None
    max: int | None = None
    image: str = ""
    flavor: str = ""
    selector: Mapping[str, str] = {}
    template: Mapping[str, Any] = {}
    owner: str = ""
    token: str = ""
    created: float | None = None

    def __post_init__(self) -> None:
        """Accept plain JSON values for tuples."""
        self.__dict__["vms"] = tuple(self.vms)

    @property
    def key(self) -> str:
        """Return the catalog key: groups are not on any cloud."""
        return self.name


class Image(Noun):
    """A disk image a VM can boot from; sizes in bytes; `public` whether everybody may use it, None where unknown."""

    kind: ClassVar[str] = "image"
    columns: ClassVar[tuple[str, ...]] = ("name", "cloud", "id", "os", "arch", "size", "login", "created")

    os: str = ""
    arch: str = ""
    size: int | None = None
    login: str = ""
    state: str = ""
    digest: str = ""
    created: float | None = None
    owner: str = ""
    public: bool | None = None


class Flavor(Noun):
    """A size of VM: `vcpus`, `memory_mib`, `disk_gib`, and its price per hour in `currency` where it has one.

    `spot_per_hour` is what it costs now as a VM that the cloud may take back, `price_fetched` when both were asked.
    """

    kind: ClassVar[str] = "flavor"
    columns: ClassVar[tuple[str, ...]] = ("name", "cloud", "vcpus", "memory_mib", "disk_gib", "price_per_hour")

    vcpus: int = 1
    memory_mib: int = 0
    disk_gib: int = 0
    price_per_hour: float | None = None
    spot_per_hour: float | None = None
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
    """A public address; `vm` is the name of the VM it leads to, `ports` host port → guest port where it forwards.

    `token` is the idempotency token of its creation, for those that outlive the VM they lead to.
    """

    kind: ClassVar[str] = "address"
    columns: ClassVar[tuple[str, ...]] = ("name", "cloud", "region", "vm", "ports", "price_per_hour")

    vm: str = ""
    ports: Mapping[str, int] = {}
    owner: str = ""
    token: str = ""
    created: float | None = None
    price_per_hour: float | None = None

    @property
    def key(self) -> str:
        """Return the catalog key: the creation token of our own, else cloud and id."""
        return self.token or f"{self.cloud}/{self.id or self.name}"


class VolumeSnapshot(Noun):
    """What was on a volume at a time: `volume` its name then, `size_gib` its size in GiB.

    `token` is the idempotency token of its creation, which clouds return for what cloudms made.
    """

    kind: ClassVar[str] = "volume_snapshot"
    columns: ClassVar[tuple[str, ...]] = ("name", "volume", "cloud", "id", "size_gib", "state", "created")

    volume: str = ""
    size_gib: int = 0
    state: str = ""
    owner: str = ""
    token: str = ""
    created: float | None = None
    price_per_hour: float | None = None

    @property
    def key(self) -> str:
        """Return the catalog key: the creation token of our own, else cloud and id."""
        return self.token or f"{self.cloud}/{self.id or self.name}"


class Rule(Record):
    """One thing a security group lets through: `direction` ingress or egress, `protocol` tcp, udp, icmp or any.

    `first` and `last` are the ports (0 and 0: all), `remote` the addresses (CIDR) or the security group it is let
    through from or to, empty for everybody; `id` how the cloud names the rule, where it does.
    """

    columns: ClassVar[tuple[str, ...]] = ("text", "id")

    direction: str = "ingress"
    protocol: str = "tcp"
    first: int = 0
    last: int = 0
    remote: str = ""
    id: str = ""

    @property
    def text(self) -> str:
        """Return it as people write it, such as `in tcp 80-443 from 10.0.0.0/8`."""
        ports = "" if not self.first else f" {self.first}" if self.first == self.last else f" {self.first}-{self.last}"
        way, word = ("in", "from") if self.direction == "ingress" else ("out", "to")
        return f"{way} {self.protocol}{ports}{f' {word} {self.remote}' if self.remote else ''}"


class SecGroup(Noun):
    """A security group: a named set of `rules`; `vms` are the names of the VMs in it, where that is known."""

    kind: ClassVar[str] = "secgroup"
    columns: ClassVar[tuple[str, ...]] = ("name", "cloud", "id", "rules", "vms", "description")

    description: str = ""
    rules: tuple[Rule, ...] = ()
    vms: tuple[str, ...] = ()
    owner: str = ""
    token: str = ""

    def __post_init__(self) -> None:
        """Accept plain JSON values for rules and tuples."""
        own = self.__dict__
        own["rules"] = tuple(rule if isinstance(rule, Rule) else Rule(**rule) for rule in self.rules)
        own["vms"] = tuple(self.vms)

    @property
    def key(self) -> str:
        """Return the catalog key: the creation token of our own, else cloud and id."""
        return self.token or f"{self.cloud}/{self.id or self.name}"


class Quota(Noun):
    """A limit of an account: how much is `used` (None: not told), the `limit` (None: none), and in what `unit`."""

    kind: ClassVar[str] = "quota"
    columns: ClassVar[tuple[str, ...]] = ("name", "cloud", "region", "used", "limit", "unit")

    used: float | None = None
    limit: float | None = None
    unit: str = ""


class Usage(Noun):
    """What a VM uses: `cpu_percent` of all its vCPUs together, `memory_used_mib` of `memory_mib`, and what it has read,
    written, received and sent since it was started (bytes); what its cloud does not measure is left out. `at` is when.
    """

    kind: ClassVar[str] = "usage"
    columns: ClassVar[tuple[str, ...]] = (
        "name", "cloud", "state", "cpu_percent", "memory_used_mib", "memory_mib", "disk_read_bytes",
        "disk_write_bytes", "net_rx_bytes", "net_tx_bytes", "at",
    )  # fmt: skip

    state: str = ""
    cpu_percent: float | None = None
    memory_used_mib: int | None = None
    memory_mib: int | None = None
    disk_read_bytes: int | None = None
    disk_write_bytes: int | None = None
    net_rx_bytes: int | None = None
    net_tx_bytes: int | None = None
    at: float | None = None


class Cost(Noun):
    """What a thing costs: `price_per_hour` (None: not known), `hours` since it was made, their product as `so_far`.

    A sum has the `count` of things in it, and as `unknown` of how many no price is known.
    """

    kind: ClassVar[str] = "cost"
    columns: ClassVar[tuple[str, ...]] = (
        "name", "cloud", "what", "price_per_hour", "hours", "so_far", "expires", "count", "unknown",
    )  # fmt: skip

    what: str = ""
    group: str = ""
    price_per_hour: float | None = None
    hours: float | None = None
    so_far: float | None = None
    expires: float | None = None
    count: int = 1
    unknown: int = 0


class CloudInfo(Noun):
    """A configured cloud; once checked, whether it can be reached, its `version`, and the `seconds` it took.

    `like` is the cloud that it is a copy of; `defaults` and `options` are what the configuration says of it, secrets as
    ******; `origins` where each credential comes from; `roles` what it can do; `known` how many things of each kind the
    catalog has.
    """

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
    like: str = ""
    defaults: Mapping[str, Any] = {}
    options: Mapping[str, Any] = {}
    origins: Mapping[str, str] = {}
    roles: tuple[str, ...] = ()
    known: Mapping[str, int] = {}
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
