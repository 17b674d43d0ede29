"""Images of Glance: those of the project, those shared with it, and public ones.

Shape: https://docs.openstack.org/api-ref/image/v2/#list-images.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from cloudms.clouds.base import DeleteImages
from cloudms.clouds.openstack import guess
from cloudms.clouds.openstack.beside import Beside, Row
from cloudms.clouds.openstack.settings import place
from cloudms.clouds.openstack.times import seconds
from cloudms.errors import Conflict, NotFound
from cloudms.model import Image

PAGE = 1000
_GONE = ("deleted", "pending_delete", "killed")


class Images(Beside, DeleteImages):
    """Images of the regions in use."""

    def list_images(self) -> Iterable[Image]:
        """Yield the images that VMs can be made from, each once."""
        seen: set[str] = set()
        for image in self.link.each_region(self._images_in):
            if image.id not in seen:  # regions may share their images
                seen.add(image.id)
                yield image

    def _images_in(self, region: str) -> Iterator[Image]:
        for row in self.image_rows(region):
            yield self.image_noun(row, region)

    def image_rows(self, region: str, **narrow: Any) -> Iterator[dict[str, Any]]:
        """Yield images as Glance describes them; `narrow` are its filters."""
        for row in self.link.pages("image", "/images", "images", region, limit=PAGE, **narrow):
            if row.get("status") not in _GONE:
                yield row

    def image_noun(self, row: Row, region: str) -> Image:
        """Return the noun of an image as Glance described it."""
        ident = str(row.get("id") or "")
        os, login = guess.system(row)
        value = row.get("os_hash_value")
        return Image(
            name=str(row.get("name") or ident), cloud=self.name, id=ident, region=region, os=os, login=login,
            arch=guess.arch(row), size=row.get("size") or None, state=str(row.get("status") or ""),
            digest=f"{row.get('os_hash_algo')}:{value}" if value else "", created=seconds(row.get("created_at")),
            owner=str(row.get("owner") or ""), public=_public(row.get("visibility")),
            labels=dict.fromkeys(map(str, row.get("tags") or ()), ""), fetched=self.clock.now(), raw=row,
        )  # fmt: skip

    def image_row(self, name: str, region: str) -> dict[str, Any]:
        """Return an image by id, else by name: the newest of those that can be used. Raises: NotFound."""
        rows = [row for row in self.image_rows(region, name=name) if row.get("name") == name] if name else []
        rows = rows or self.image_with_id(name, region)
        if not rows:
            raise NotFound(
                f"cloud '{self.name}' has no image '{name}' in {region}",
                hint=f"cms image list --cloud {self.name}",
                details={"image": name, "region": region},
            )
        return max(rows, key=lambda row: (row.get("status") == "active", str(row.get("created_at") or "")))

    def find_image(self, name: str, flavor: str = "", region: str = "") -> Image:
        """Return the image that a boot would take. Raises: NotFound."""
        where = place(region)[0] or self.link.region
        return self.image_noun(self.image_row(name, where), where)

    def image_with_id(self, ident: str, region: str) -> list[dict[str, Any]]:
        """Return the image with an id, or nothing."""
        if not ident:
            return []
        try:
            row = self.link.get("image", f"/images/{quote(ident, safe='')}", region)
        except NotFound:
            return []
        return [row] if row.get("status") not in _GONE and row.get("id") == ident else []

    def delete_image(self, image: Image) -> None:
        """Delete an image; already gone is success.

        Raises: Conflict (VMs stand on it, or it is protected), Denied (it is not of this project).
        """
        for region in self.regions_of(image.region):
            for row in self.image_with_id(image.id, region):
                self._refuse_used(row, region)
                if row.get("protected"):
                    raise Conflict(
                        f"image '{image.name}' is protected", hint=f"openstack image set --unprotected {image.id}"
                    )
                self.drop_image(row, region)

    def _refuse_used(self, row: Row, region: str) -> None:
        ident = str(row["id"])
        users = [
            str(each.get("name"))
            for each in self.link.pages("compute", "/servers/detail", "servers", region, image=ident)
            if isinstance(each.get("image"), Mapping) and each["image"].get("id") == ident
        ]
        if users:
            raise Conflict(f"{', '.join(users[:5])} stand on the image '{row.get('name')}'",
                           hint="delete these VMs first")  # fmt: skip

    def drop_image(self, row: Row, region: str) -> None:
        """Delete an image with the disks that it is made of; already gone is success."""
        self.drop("image", f"/images/{row['id']}", region)
        for disk in disks_of(row):
            self.drop("volume", f"/snapshots/{disk}", region)


def disks_of(row: Row) -> list[str]:
    """Return the ids of the snapshots of volumes that an image of a VM with volumes is made of."""
    told = row.get("block_device_mapping")
    try:
        disks = json.loads(told) if isinstance(told, str) else told
    except ValueError:
        return []
    known = [disk for disk in disks if isinstance(disk, dict)] if isinstance(disks, list) else []
    return [str(disk["snapshot_id"]) for disk in known if disk.get("snapshot_id")]


def _public(visibility: Any) -> bool | None:
    return None if not visibility else visibility in ("public", "community")
