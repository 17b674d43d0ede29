"""Making VMs: one RunInstances for one or for many, found again by tag before it is asked for a second time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cloudms.clouds import notes
from cloudms.clouds.aws import firewall, firstboot, order, tags
from cloudms.clouds.aws.choosing import Choosing, login_of
from cloudms.clouds.aws.core import SETTLES_S
from cloudms.clouds.aws.errors import code_of
from cloudms.clouds.aws.firewall import Firewall
from cloudms.clouds.aws.keypairs import KINDS, WINDOWS_KINDS, KeyPairs
from cloudms.clouds.aws.known import Ask, Known
from cloudms.clouds.aws.order import Order
from cloudms.clouds.aws.settings import place
from cloudms.clouds.base import Batch, Report, Setup, Spot, UserData, silent
from cloudms.errors import CloudmsError, Conflict, Exists, Invalid, NotFound, NotReady, Unsupported
from cloudms.model import Vm, VmSpec

_STALE = ("InvalidKeyPair.NotFound", "InvalidGroup.NotFound", "InvalidSecurityGroupID.NotFound")
"""What is kept in mind was deleted meanwhile by somebody else."""


class Making(Choosing, Firewall, KeyPairs, Batch, Spot, UserData):
    """Making VMs, alone or many at once."""

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self._known = Known(self.clock)

    def create_vm(self, spec: VmSpec, report: Report = silent) -> Vm:
        """Make and start a VM and return it as AWS first describes it.

        Raises: Exists, NotFound (image, flavor, subnet, group), NoCapacity, Invalid, Unsupported.
        """
        return self._create([spec], report)[0]

    def create_vms(self, specs: Sequence[VmSpec], report: Report = silent) -> list[Vm]:
        """Make and start the VMs of one batch with one request, all or none. Raises: what `create_vm` raises."""
        if len(specs) < 2:
            return [self.create_vm(spec, report) for spec in specs]
        notes.batch_token(specs)
        return self._create(specs, report)

    def _create(self, specs: Sequence[VmSpec], report: Report) -> list[Vm]:
        region, zone = self.place_of(specs[0].region)
        report(f"looking in {region}")
        image, network = self._begin_image(specs[0], region), self._begin_network(specs[0], region, zone)
        found = self._present(specs, region)
        if found is None:
            found = self._run(self._order(specs, region, zone, image(), network(), report), report)
        return [self.noun(row, region) for row in found]

    def place_of(self, wanted: str) -> tuple[str, str]:
        """Return region and zone (or an empty string) of a new VM. Raises: NotFound."""
        region, zone = place(wanted) if wanted else (self.link.region, "")
        settings = self.link.settings
        self.link.check_region(region)
        return region, zone or (settings.zone if region == settings.region and not wanted else "")

    # -- what is there already -----------------------------------------------------------------------------------

    def _present(self, specs: Sequence[VmSpec], region: str) -> list[dict[str, Any]] | None:
        """Return the VMs with these tokens, or None when there are none.

        Raises: Exists (a name is taken by another VM of the owner), Conflict (some of a batch are gone for good).
        """
        owner = specs[0].owner or self.setup.owner
        by_token: dict[str, dict[str, Any]] = {}
        names: dict[str, str] = {}
        for row in self.instances(region, Filters=tags.filters(owner=owner)):
            mark = tags.of(row)
            if not order.is_gone(row):
                names.setdefault(mark.name, mark.token)
                by_token[mark.token] = row
            else:
                by_token.setdefault(mark.token, row)
        found = [by_token[spec.token] for spec in specs if spec.token in by_token]
        if found and len(found) == len(specs):
            return found
        if found:
            raise self._torn(found, len(specs))
        taken = [spec.name for spec in specs if spec.name in names]
        if taken:
            raise Exists(f"there is a vm {taken[0]} already in {region}", hint="choose another name")
        return None

    def _torn(self, found: Sequence[Mapping[str, Any]], wanted: int) -> CloudmsError:
        """Return the error for a batch of which only some VMs are shown: they are not shown yet, or no longer."""
        born = min(order.launched(row) or 0.0 for row in found)
        if self.clock.now() - born < SETTLES_S:
            return NotReady(f"AWS shows {len(found)} of {wanted} VMs so far", hint="try again in a moment")
        return Conflict(f"{wanted - len(found)} of {wanted} VMs of this request are gone", hint="boot new ones")

    # -- asking --------------------------------------------------------------------------------------------------

    def _begin_image(self, spec: VmSpec, region: str) -> Ask:
        """Begin to look for the image of a VM."""
        wanted, flavor = spec.image, spec.flavor or self.default_flavor
        return self._known.begin(lambda: self.image(region, wanted, flavor), "image", region, wanted, flavor)

    def _begin_network(self, spec: VmSpec, region: str, zone: str) -> Ask:
        """Begin to look for subnet and VPC of a VM."""
        wanted = spec.network or self.link.settings.subnet
        return self._known.begin(lambda: self.network(region, wanted, zone), "network", region, wanted, zone)

    def _begin_pair(self, spec: VmSpec, region: str, owner: str, *, windows: bool) -> Ask:
        """Begin to look for the key pair of a VM, and for the keys that it does not hold."""
        kinds = WINDOWS_KINDS if windows else KINDS
        return self._known.begin(
            lambda: self.key_pair(region, spec.keys, spec.key_name, owner, kinds),
            "keys", region, spec.key_name, str(windows), *spec.keys,
        )  # fmt: skip

    def _order(
        self, specs: Sequence[VmSpec], region: str, zone: str, image: Mapping[str, Any], network: tuple[str, str],
        report: Report,
    ) -> Order:  # fmt: skip
        """Return what is asked for, with everything it stands on found or made. Raises: NotFound, Invalid, Denied."""
        spec, settings, (subnet, vpc) = specs[0], self.link.settings, network
        owner, flavor = spec.owner or self.setup.owner, spec.flavor or self.default_flavor
        windows = str(image.get("Platform") or "").lower() == "windows"
        opened = firewall.ports(spec.options.get("open"))
        named = self.named_groups(region, vpc, spec.options.get("secgroups") or ())
        held = self._begin_pair(spec, region, owner, windows=windows)
        if not opened:
            groups = self._known.get(lambda: self.groups(region, vpc, owner, "", ()), "groups", region, vpc, owner)
        pair, rest = held()
        if opened:  # last: these are made for this request alone
            report("opening its ports")
            groups = self.groups(region, vpc, owner, spec.token, opened)
        names, spot = [each.hostname for each in specs], bool(spec.options.get("spot")) or settings.spot
        first = firstboot.data(spec.user_data, names, rest, spec.expires, cloud_init=not windows)
        return Order(
            specs=tuple(specs), region=region, zone="" if subnet else zone, image=image, flavor=flavor, subnet=subnet,
            groups=tuple(dict.fromkeys((*groups, *named))), key_pair=pair, first_boot=first, settings=settings,
            owner=owner,
            hibernate=self._hibernates(spec, region, flavor, spot=spot), spot=spot,
            login=str(spec.options.get("login") or self.login(spec.image, image)),
        )  # fmt: skip

    def login(self, wanted: str, image: Mapping[str, Any]) -> str:
        """Return the user that SSH wants: the configured one, else by the names of the image; empty when unknown."""
        names = (wanted, str(image.get("Name") or ""), str(image.get("Description") or ""))
        return self.view.login or login_of(*names)

    def _hibernates(self, spec: VmSpec, region: str, flavor: str, *, spot: bool) -> int:
        """Return the memory in MiB that a VM writes to its disk when it hibernates; 0 when it is not to.

        Raises: Unsupported (it was asked for this VM and it cannot, by its flavor or as a spot VM), NotFound (flavor).
        """
        asked = bool(spec.options.get("hibernate"))
        if not asked and (spot or not self.link.settings.hibernate):
            return 0
        if spot:
            raise Unsupported("a spot VM cannot be stopped, and so not hibernate", hint="leave one of the two out")
        kind = self._known.get(lambda: self.instance_type(region, flavor), "type", region, flavor)
        if kind.get("HibernationSupported"):
            return int((kind.get("MemoryInfo") or {}).get("SizeInMiB") or 0)
        if asked:
            raise Unsupported(f"{flavor} cannot hibernate", hint="t3, m5, c5, r5 and their successors can")
        return 0

    def instance_type(self, region: str, flavor: str) -> dict[str, Any]:
        """Return what a region says of an instance type. Raises: NotFound."""
        missing = NotFound(f"flavor '{flavor}' is not in {region}", hint=f"cms flavor list --cloud {self.name}")
        try:
            rows = self.link.call("describe_instance_types", region, InstanceTypes=[flavor]).get("InstanceTypes")
        except (Invalid, NotFound) as error:
            raise missing from error
        if not rows:
            raise missing
        found: dict[str, Any] = rows[0]
        return found

    def _run(self, wanted: Order, report: Report) -> list[dict[str, Any]]:
        """Ask for the VMs and return them in order. Raises: NotFound, NoCapacity, Invalid, NotReady …"""
        count = len(wanted.specs)
        report(f"asking for {count} VMs" if count > 1 else "asking for it")
        try:
            reply = self.link.call("run_instances", wanted.region, **order.request(wanted))
        except CloudmsError as error:
            raise self._explained(error, wanted) from None
        rows = sorted(reply.get("Instances") or (), key=lambda row: int(row.get("AmiLaunchIndex") or 0))
        if len(rows) != count:
            raise NotReady(f"AWS told of {len(rows)} of {count} VMs", hint="cms vm list")
        made = [{**row, "OwnerId": reply.get("OwnerId", "")} for row in rows]
        self.remember(made, wanted.region)
        return made

    def _explained(self, error: CloudmsError, wanted: Order) -> CloudmsError:
        """Return the error of a refused request in the terms of who asked."""
        code, text = code_of(error), error.message
        if code in ("InvalidParameterValue", "InvalidInstanceType") and "InstanceType" in text:
            return NotFound(
                f"flavor '{wanted.flavor}' is not in {wanted.region}", hint=f"cms flavor list --cloud {self.name}"
            )
        if code in _STALE:
            self._known.clear()
            return NotReady(f"{text}: it was deleted meanwhile", hint="try again", details=error.details)
        if code == "IdempotentParameterMismatch":
            return NotReady(
                "this VM was asked for before, and AWS does not show it yet", hint="cms vm list", details=error.details
            )
        if wanted.opened:
            self._forget_ports(wanted)
        return error

    def _forget_ports(self, wanted: Order) -> None:
        """Delete the group of ports of a request that made nothing; one that cannot go now is a leftover."""
        try:
            self.drop_group(wanted.region, wanted.token)
        except CloudmsError:
            return
