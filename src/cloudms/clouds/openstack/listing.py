"""What is there: reaching OpenStack, listing servers over regions, finding one, and what nova tells only by an id."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from cloudms.clouds import notes
from cloudms.clouds.base import Reach, Setup
from cloudms.clouds.openstack import describe, guess, tags
from cloudms.clouds.openstack.core import TAGGED, Core
from cloudms.clouds.view import origin_of
from cloudms.errors import CloudmsError, NotFound
from cloudms.model import Origin, Vm

NAMED = (2, 47)
"""The microversion since which nova tells a server's flavor by its name."""
_FEW = 4
"""So many VMs are asked for one by one; of more, all are listed."""
_IDS = 50
"""Ids that one question to glance can be about."""


class Listing(Core):
    """Reaching OpenStack and looking at servers."""

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self._names: dict[tuple[str, str], tuple[str, str]] = {}
        self._names_lock = threading.Lock()

    def reach(self) -> Reach:
        """Sign in and ask nova for its version. Raises: NotReady, Denied, MissingExtra, Invalid."""
        begin = self.clock.monotonic()
        access, region = self.link.access(), self.link.region
        spoken = ".".join(map(str, self.link.version("compute", region)))
        project = str(access.project_name or access.project_id or "")
        login = self.link.settings.login
        details = {
            "user": str(access.username or ""), "project": project, "project_id": str(access.project_id or ""),
            "region": region, "regions": list(self.link.every_region()), "auth_url": login.auth.get("auth_url", ""),
            "source": login.source, "compute": self.link.endpoint("compute", region),
        }  # fmt: skip
        return Reach(
            version=f"OpenStack compute {spoken} in {region}", account=f"{details['user']} in {project}",
            details=details, seconds=self.clock.monotonic() - begin,
        )  # fmt: skip

    def list_vms(self) -> Iterable[Vm]:
        """Yield every server of the project in the configured regions; a broken region is raised after the rest."""
        return self.link.each_region(self.vms_in)

    def vms_in(self, region: str) -> Iterator[Vm]:
        """Yield the servers of one region as nouns."""
        some: list[dict[str, Any]] = []
        for row in self.servers(region):
            some.append(row)
            if len(some) >= 500:
                yield from self.nouns(some, region)
                some = []
        yield from self.nouns(some, region)

    def nouns(self, rows: Sequence[dict[str, Any]], region: str) -> Iterator[Vm]:
        """Yield servers as nouns, with the names of what nova tells by an id."""
        for row in self.with_names(rows, region):
            yield self.noun(row, region)

    def get_vm(self, vm: Vm) -> Vm:
        """Return the VM with this id, or else token. Raises: NotFound."""
        row, region = self.find(vm)
        return next(self.nouns([row], region))

    def get_vms(self, vms: Sequence[Vm]) -> dict[str, Vm]:
        """Return what nova says of several VMs, by their key; those it does not have are left out.

        VMs of a batch that nova has made meanwhile get their names on the way.
        """
        wanted: dict[str, list[Vm]] = {}
        for vm in vms:
            for region in self.places(vm):
                wanted.setdefault(region, []).append(vm)
        found: dict[str, Vm] = {}
        for region, some in wanted.items():
            found |= self._several(region, some)
        return found

    def _several(self, region: str, vms: Sequence[Vm]) -> dict[str, Vm]:
        by_id = {vm.id: vm.key for vm in vms if vm.id}
        by_token = {vm.token: vm.key for vm in vms if vm.token and not vm.id}
        found: dict[str, Vm] = {}
        for row in self.give_names(list(self._rows(region, vms)), region):
            key = by_id.get(str(row.get("id"))) or by_token.get(tags.of(row).token)
            if key and not (key in found and describe.is_gone(row)):
                found[key] = self.noun(row, region)
        return found

    def _rows(self, region: str, vms: Sequence[Vm]) -> Iterator[dict[str, Any]]:
        """Yield the servers that may be these VMs: those of their requests when these are few, else all."""
        requests = {notes.base_token(vm.token)[0] for vm in vms if vm.token}
        if all(vm.token for vm in vms) and len(requests) <= _FEW and self.link.version("compute", region) >= TAGGED:
            for token in sorted(requests):
                yield from self.of_request(token, region)
        elif len(vms) <= _FEW and all(vm.id for vm in vms):
            for vm in vms:
                try:
                    yield self.server(vm.id, region)
                except NotFound:
                    continue
        else:
            yield from self.servers(region)

    # -- names of a batch ----------------------------------------------------------------------------------------

    def give_names(self, rows: Sequence[dict[str, Any]], region: str) -> Sequence[dict[str, Any]]:
        """Return servers, those of our batches with their own names, by as many requests at a time as the engine makes.

        A name that is given before nova has found a host may be lost, so that waits for the next look; until then, and
        where nova refuses, the metadata tell the name.
        """
        wrong = [row for row in rows if can_be_called(row) and tags.made_up(row) and self._is_mine(row)]
        if not wrong:
            return rows
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(max_workers=self.width) as pool:
            done = {str(row["id"]): row for row in pool.map(lambda row: self.called(row, region), wrong)}
        return [done.get(str(row["id"]), row) for row in rows]

    def _is_mine(self, row: Mapping[str, Any]) -> bool:
        return origin_of(tags.of(row), self.setup.owner) is not Origin.FOREIGN

    def called(self, row: dict[str, Any], region: str) -> dict[str, Any]:
        """Return a server of a batch by its own name, or as it was when nova does not give it one now."""
        body = {"server": {"name": tags.of(row).name}}
        try:
            reply = self.link.put("compute", f"/servers/{row['id']}", body, region)
        except CloudmsError:
            return row
        return {**row, **(reply.get("server") or {})}

    # -- names of what nova tells by an id -----------------------------------------------------------------------

    def with_names(self, rows: Sequence[dict[str, Any]], region: str) -> Sequence[dict[str, Any]]:
        """Return servers with `cms:image`, `cms:login` and `cms:flavor` where only a question to others tells them.

        What cannot be asked is told by its id.
        """
        images = {ident for row in rows if (ident := _image_id(row)) and not tags.plain(row).get(notes.IMAGE)}
        if images:
            self._learn_images(region, images)
        if any(_on_volume(row) for row in rows):
            self._learn_volumes(region)
        if self.link.version("compute", region) < NAMED and rows:
            self._learn_flavors(region)
        return [self._with_names(row, region) for row in rows]

    def _with_names(self, row: dict[str, Any], region: str) -> dict[str, Any]:
        volumes = row.get("os-extended-volumes:volumes_attached") or () if _on_volume(row) else ()
        idents = [_image_id(row), *(str(each.get("id")) for each in volumes)]
        image, login = next((self._names[region, each] for each in idents if (region, each) in self._names), ("", ""))
        flavor = self._names.get((region, f"flavor {_flavor_id(row)}"), ("", ""))[0]
        said = {"cms:image": image, "cms:login": login, "cms:flavor": flavor}
        return {**row, **{key: value for key, value in said.items() if value}}

    def _learn_images(self, region: str, idents: set[str]) -> None:
        """Ask glance for the names of images, once for each."""
        with self._names_lock:
            unknown = sorted(ident for ident in idents if (region, ident) not in self._names)
            for start in range(0, len(unknown), _IDS):
                some = unknown[start : start + _IDS]
                self._names |= {(region, ident): (ident, "") for ident in some}
                try:
                    rows = list(self.link.pages("image", "/images", "images", region, id=f"in:{','.join(some)}"))
                except CloudmsError:
                    continue
                for row in rows:
                    self._names[region, str(row["id"])] = str(row.get("name") or row["id"]), guess.system(row)[1]

    def _learn_volumes(self, region: str) -> None:
        """Ask cinder for the names of the images that volumes were made from, once a list has such servers."""
        try:
            rows = list(self.link.pages("volume", "/volumes/detail", "volumes", region, bootable=True))
        except CloudmsError:
            return
        for row in rows:
            about = row.get("volume_image_metadata")
            if isinstance(about, Mapping) and about.get("image_name"):
                known = {**about, "name": about["image_name"]}
                self._names[region, str(row["id"])] = str(about["image_name"]), guess.system(known)[1]

    def _learn_flavors(self, region: str) -> None:
        """Ask an older nova for the names of its flavors, once."""
        with self._names_lock:
            if (region, "flavors") in self._names:
                return
            for row in self.link.pages("compute", "/flavors", "flavors", region, is_public="none"):
                self._names[region, f"flavor {row.get('id')}"] = str(row.get("name")), ""
            self._names[region, "flavors"] = "", ""


def can_be_called(row: Mapping[str, Any]) -> bool:
    """Whether a name that is given to a server lasts: one that waits for a host may be written down anew."""
    return bool(row.get("hostId")) or row.get("status") not in ("BUILD", None)


def _image_id(row: Mapping[str, Any]) -> str:
    image = row.get("image")
    return str(image.get("id") or "") if isinstance(image, Mapping) else ""


def _flavor_id(row: Mapping[str, Any]) -> str:
    flavor = row.get("flavor")
    return str(flavor.get("id") or "") if isinstance(flavor, Mapping) else ""


def _on_volume(row: Mapping[str, Any]) -> bool:
    """Whether a server's disk is a volume and nothing of ours tells what was on it."""
    return not row.get("image") and "image" in row and not tags.plain(row).get(notes.IMAGE)
