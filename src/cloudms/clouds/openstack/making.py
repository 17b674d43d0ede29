"""Making VMs: one `POST /servers` for one or for many, found again by tag before it is asked for a second time.

Nova knows no token of a request and answers to one that was asked twice with two VMs. So a request is never repeated:
when its answer is lost, the VMs are looked for, and only when there are none is it asked again.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from cloudms.clouds import firstboot, notes, ports
from cloudms.clouds.base import Batch, Report, Setup, UserData, silent
from cloudms.clouds.openstack import describe, guess, order, tags
from cloudms.clouds.openstack.errors import unclear
from cloudms.clouds.openstack.flavors import Flavoring
from cloudms.clouds.openstack.guard import Guarding
from cloudms.clouds.openstack.images import Images
from cloudms.clouds.openstack.keypairs import KeyPairs
from cloudms.clouds.openstack.listing import Listing
from cloudms.clouds.openstack.networks import Networks
from cloudms.clouds.openstack.order import Order
from cloudms.clouds.openstack.settings import place
from cloudms.clouds.openstack.spread import Spreading
from cloudms.errors import CloudmsError, Exists, Invalid, NotFound, NotReady
from cloudms.model import Flavor, Vm, VmSpec, VmState

T = TypeVar("T")

_HOLDS_S = 300.0
"""Seconds for which image, network, key pair and groups of a boot are not looked up again."""
_SETTLES_S, _LOOKS = 1.5, 3
"""Seconds between two looks at a request of which only some VMs are seen (nova writes them down one after another), and
how many looks in turn must show the same.
"""
_EACH_S = 0.5
"""Seconds that nova may take longer for each VM of a request."""
_FRESH_S = 60.0
"""Seconds after which nova has written down all VMs of a request."""
_LOST_S = 20.0
"""Seconds for which a VM is looked for whose request got no answer."""
_FEW = 3
"""So many names are asked for one by one."""
_LEAST_MIB = 512
"""The least memory of a flavor that is chosen by image."""


class Making(Images, Flavoring, Networks, Guarding, KeyPairs, Spreading, Listing, Batch, UserData):
    """Making VMs, alone or many at once."""

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self._lock = threading.RLock()
        self._known: dict[tuple[str, ...], tuple[float, Any]] = {}

    def create_vm(self, spec: VmSpec, report: Report = silent) -> Vm:
        """Make and start a VM and return it as nova first describes it.

        Raises: Exists, NotFound (image, flavor, network, group, place), NoCapacity, Invalid.
        """
        return self._create([spec], report)[0]

    def create_vms(self, specs: Sequence[VmSpec], report: Report = silent) -> list[Vm]:
        """Make and start the VMs of one batch with one request, all or none. Raises: what `create_vm` raises."""
        if len(specs) < 2:
            return [self.create_vm(spec, report) for spec in specs]
        notes.batch_token(specs)
        return self._create(specs, report)

    def _create(self, specs: Sequence[VmSpec], report: Report) -> list[Vm]:
        region, zone = self.where(specs[0].region)
        report(f"looking in {region}")
        rows = self._present(specs, region)
        if not rows:
            self._free_names(specs, region)
            rows = self._run(self._order(specs, region, zone, report), report)
        rows = {tags.of(row).token: row for row in self.give_names(list(rows.values()), region)}
        return [self._made(spec, rows.get(spec.token), region) for spec in specs]

    def _made(self, spec: VmSpec, row: Mapping[str, Any] | None, region: str) -> Vm:
        """Return the VM of a spec; one of a batch that is not there any more was deleted."""
        if row is not None:
            return self.noun(row, region)
        return Vm(
            name=spec.name, cloud=self.name, region=region, token=spec.token, owner=spec.owner or self.setup.owner,
            state=VmState.TERMINATED, reason="it was deleted", image=spec.image, flavor=spec.flavor,
            fetched=self.clock.now(),
        )  # fmt: skip

    def where(self, wanted: str) -> tuple[str, str]:
        """Return region and zone (or an empty string) of a new VM.

        Parameters: `wanted`, REGION, REGION/ZONE, or a zone of the home region. Raises: NotFound.
        """
        settings, home = self.link.settings, self.link.region
        if not wanted:
            return home, settings.zone
        region, zone = place(wanted)
        if not zone and region not in self.link.every_region() and region in self._zones(home):
            return home, region
        self.link.check_region(region)
        if zone and zone not in self._zones(region):
            raise NotFound(f"there is no zone '{zone}' in {region}", hint=f"cms location list --cloud {self.name}")
        return region, zone or (settings.zone if region == home else "")

    def _zones(self, region: str) -> list[str]:
        rows = self.once(
            lambda: self.link.get("compute", "/os-availability-zone", region).get("availabilityZoneInfo") or [],
            "zones", region,
        )  # fmt: skip
        return [str(row.get("zoneName")) for row in rows]

    # -- what is there already -----------------------------------------------------------------------------------

    def _present(self, specs: Sequence[VmSpec], region: str) -> dict[str, dict[str, Any]]:
        """Return the servers of these tokens that are there, by token; one of them each."""
        rows, same = self._of_specs(specs, region), 0
        while rows and len(rows) < len(specs) and self._is_fresh(rows.values()) and same < _LOOKS:
            self.clock.sleep(_SETTLES_S)
            before, rows = len(rows), self._of_specs(specs, region)
            same = same + 1 if len(rows) == before else 0
        return rows

    def _is_fresh(self, rows: Any) -> bool:
        born = max((self.noun(row, "").created or 0.0 for row in rows), default=0.0)
        return self.clock.now() - born < _FRESH_S

    def _of_specs(self, specs: Sequence[VmSpec], region: str) -> dict[str, dict[str, Any]]:
        """Return the servers of these tokens by token, and delete what a late request has made a second time."""
        wanted = {spec.token for spec in specs}
        found: dict[str, dict[str, Any]] = {}
        for row in self.sorted_rows(self.of_request(specs[0].token, region)):
            token = tags.of(row).token
            if token in wanted and token not in found:
                found[token] = row
            elif token in wanted and not describe.is_gone(row):
                self.drop("compute", f"/servers/{row['id']}", region)
        return found

    def _free_names(self, specs: Sequence[VmSpec], region: str) -> None:
        """Refuse names that another VM of the owner has. Raises: Exists."""
        owner = specs[0].owner or self.setup.owner
        names = [spec.name for spec in specs]
        taken = next((name for name, row in self.named(names, region) if tags.of(row).owner == owner), "")
        if taken:
            raise Exists(f"there is a vm {taken} already in {region}", hint="choose another name")

    def named(self, names: Sequence[str], region: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the servers with these names, each with its name.

        Few names are asked for one by one, many are looked for in a list of all: nova takes no choice of patterns.
        """
        if len(names) <= _FEW:
            for name in names:
                pattern = re.escape(name).replace("\\-", "-")
                yield from ((name, row) for row in self.servers(region, name=f"^{pattern}$") if row.get("name") == name)
            return
        wanted = set(names)
        for brief in self.link.pages("compute", "/servers", "servers", region):
            if brief.get("name") in wanted:
                try:
                    yield str(brief["name"]), self.server(str(brief["id"]), region)
                except NotFound:
                    continue

    # -- asking --------------------------------------------------------------------------------------------------

    def _order(self, specs: Sequence[VmSpec], region: str, zone: str, report: Report) -> Order:
        """Return what is asked for, with everything it stands on found or made. Raises: NotFound, Invalid, Denied."""
        spec, settings = specs[0], self.link.settings
        owner, opened = spec.owner or self.setup.owner, ports.ports(spec.options.get("open"))
        image = self.once(lambda: self.usable_image(spec.image, region), "image", region, spec.image)
        flavor = self.once(lambda: self._flavor(spec, image, region), "flavor", region, spec.flavor, str(image["id"]))
        wanted = spec.network or settings.network
        networks = self.once(lambda: self.networks(region, wanted), "network", region, wanted)
        pair, rest = self.once(
            lambda: self._pair(region, spec.keys, spec.key_name), "keys", region, spec.key_name, *spec.keys
        )
        if opened:
            report("opening its ports")
            groups = self.groups(region, owner, spec.token, opened)
        else:
            groups = self.once(lambda: self.groups(region, owner, "", ()), "groups", region, owner)
        groups = [*groups, *self.asked_groups(region, spec.options.get("secgroups"))]
        spread = str(spec.options.get("spread") or "")
        system, login = guess.system(image)
        first = firstboot.data(
            spec.user_data, [each.hostname for each in specs], rest, spec.expires, source="openstack",
            cloud_init="windows" not in system,
        )  # fmt: skip
        return Order(
            specs=tuple(specs), region=region, zone=zone, image=image, flavor=flavor, networks=networks,
            groups=tuple(dict.fromkeys(groups)), key_pair=pair, first_boot=first, settings=settings, owner=owner,
            version=self.link.version("compute", region), opened=bool(opened), spread=spread,
            server_group=self._group_of(region, spread),
            login=str(spec.options.get("login") or self.view.login or login),
            on_volume=self.link.has("volume", region),
        )  # fmt: skip

    def _group_of(self, region: str, spread: str) -> str:
        return self.once(lambda: self.spread_group(region, spread), "spread", region, spread) if spread else ""

    def usable_image(self, name: str, region: str) -> dict[str, Any]:
        """Return an image that VMs can be made from. Raises: NotFound, NotReady (it is still being brought in)."""
        row = self.image_row(name, region)
        if row.get("status") != "active":
            raise NotReady(
                f"image '{name}' is {row.get('status')} in {region}", hint=f"cms image list --cloud {self.name}",
                details={"retry": row.get("status") in ("queued", "saving", "importing")},
            )  # fmt: skip
        return row

    def _flavor(self, spec: VmSpec, image: Mapping[str, Any], region: str) -> Flavor:
        """Return the flavor of a VM; where none is named, the smallest that the image fits into. Raises: NotFound."""
        if spec.flavor:
            return self.find_flavor(spec.flavor, region)
        least, disk = max(int(image.get("min_ram") or 0), _LEAST_MIB), order.image_gib(image)
        every = [self.flavor_noun(row, region) for row in self._flavors_in(region)]
        fit = [each for each in every if each.memory_mib >= least and (each.disk_gib >= disk or not each.disk_gib)]
        if not fit:
            raise NotFound(f"no flavor in {region} has room for image '{spec.image}'", hint="name one: --flavor NAME")
        return min(fit, key=lambda each: (not each.disk_gib, each.memory_mib, each.vcpus, each.disk_gib, each.name))

    def _pair(self, region: str, keys: Sequence[str], name: str) -> tuple[str, tuple[str, ...]]:
        """Return the key pair of a new VM and the keys it does not hold; those that nova refuses come by cloud-init."""
        try:
            return self.key_pair(region, keys, name)
        except Invalid:
            return "", tuple(keys)

    def once(self, ask: Callable[[], T], *key: str) -> T:
        """Return what is the same for many VMs, asked once in a while and by one thread at a time."""
        with self._lock:
            now = self.clock.monotonic()
            asked, known = self._known.get(key, (now - _HOLDS_S, None))
            if now - asked >= _HOLDS_S:
                known = ask()
                self._known[key] = now, known
            found: T = known
            return found

    def forget(self) -> None:
        """Look everything up again: something was deleted meanwhile."""
        with self._lock:
            self._known.clear()

    def _run(self, wanted: Order, report: Report) -> dict[str, dict[str, Any]]:
        """Ask for the VMs and return their servers by token. Raises: NotFound, NoCapacity, Invalid, NotReady …"""
        count, body = len(wanted.specs), order.request(wanted)
        report(f"asking for {count} VMs" if count > 1 else "asking for it")
        try:
            reply = self.link.post("compute", "/servers", body, wanted.region, patience=_EACH_S * count)
        except CloudmsError as error:
            if not unclear(error):
                raise self._explained(error, wanted) from None
            return self._lost(wanted, error)
        made = str((reply.get("server") or {}).get("id") or "")
        if count == 1 and made:
            return {wanted.specs[0].token: self.server(made, wanted.region)}
        rows = self._of_specs(wanted.specs, wanted.region)
        if len(rows) != count:
            raise NotReady(f"nova shows {len(rows)} of {count} VMs so far", hint="cms vm list")
        return rows

    def _lost(self, wanted: Order, error: CloudmsError) -> dict[str, dict[str, Any]]:
        """Return the servers of a request whose answer was lost. Raises: its error, when they are not all there."""
        deadline = self.clock.monotonic() + _LOST_S
        while True:
            try:
                rows = self._of_specs(wanted.specs, wanted.region)
            except CloudmsError:
                rows = {}
            if len(rows) == len(wanted.specs):
                return rows
            if self.clock.monotonic() >= deadline:
                raise error
            self.clock.sleep(_SETTLES_S)

    def _explained(self, error: CloudmsError, wanted: Order) -> CloudmsError:
        """Return the error of a refused request in the terms of who asked."""
        self.forget()
        if isinstance(error, Invalid | NotFound) and re.search(r"(key.?pair|security group|network|image|flavor)\b.*"
                                                               r"(not found|could not be found|invalid|find)",
                                                               error.message, re.IGNORECASE):  # fmt: skip
            error = NotReady(f"{error.message}: it was deleted meanwhile", hint="try again", details=error.details)
        if wanted.opened:
            self._quietly(lambda: self.drop_group(wanted.region, wanted.specs[0].token))
        if wanted.spread:
            self._quietly(lambda: self.drop_spread(wanted.region, wanted.spread, ""))
        return error

    def _quietly(self, do: Callable[[], object]) -> None:
        """Take away what nothing has come of; what cannot go now is a leftover."""
        try:
            do()
        except CloudmsError:
            return
