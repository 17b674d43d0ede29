"""Images of EC2: lists of any length, and deleting one's own.

Settings (`options`): owners (whose images are listed), walkers (pages that are asked for at once), calls_per_second.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from cloudms.clouds.aws import guess, route
from cloudms.clouds.aws.core import Core
from cloudms.clouds.aws.errors import code_of
from cloudms.clouds.aws.pace import Pace
from cloudms.clouds.aws.walk import PAGE, Walk
from cloudms.clouds.aws.wire import Wire
from cloudms.clouds.base import DeleteImages, ImageBatch, ImagePages, ImageQuery
from cloudms.errors import CloudmsError, Conflict, Invalid, NotFound
from cloudms.model import Image

WALKERS = 16
"""Pages that are asked for at once when the setting `walkers` says nothing."""
_MOST = 64


class Images(Core, ImagePages, DeleteImages):
    """Images of the configured regions."""

    def list_images(self) -> Iterable[Image]:
        """Yield the images of the account and of the setting `owners`, each once. Raises: any error, after the rest."""
        for query in self.image_queries():
            seen: set[str] = set()
            for batch in self.walk_images(query):
                for image in batch.images:
                    if image.id not in seen:
                        seen.add(image.id)
                        yield image

    def image_queries(self, query: ImageQuery | None = None) -> Sequence[ImageQuery]:
        """Return a query per region; without one, for the setting `owners`."""
        if query is None:
            asked = ImageQuery(owners=tuple(dict.fromkeys(("self", *owners(self.setup.options.get("owners"))))))
        else:
            asked = query.with_(owners=owners(query.owners, ()))
        regions = (asked.region,) if asked.region else self.link.regions
        return [asked.with_(region=region) for region in regions]

    def walk_images(
        self, query: ImageQuery, left: Mapping[str, Any] | None = None, *, many: bool = False
    ) -> Iterator[ImageBatch]:
        """Yield the images of one region as they arrive. Raises, after all that came: any error of the house."""
        region = query.region or self.link.region
        if not route.direct(self.link):
            yield from self._through_boto(query, region)
            return
        walkers = _count(self.setup.options.get("walkers"), WALKERS)
        wire = Wire(self.link, region, Pace(self.clock, _rate(self.setup.options.get("calls_per_second"))))
        for batch in Walk(wire, asked(query), self.clock, walkers=walkers, left=left, many=many):
            now = self.clock.now()
            images = [self.image_noun(row, region, now) for row in batch.rows]
            yield ImageBatch(images=images, left=batch.left, last=batch.last)

    def _through_boto(self, query: ImageQuery, region: str) -> Iterator[ImageBatch]:
        """Yield the images page by page as boto3 brings them, through the proxy of this machine."""
        rows: list[Image] = []
        for row in self.link.pages("describe_images", "Images", region, **asked(query), MaxResults=PAGE):
            rows.append(self.image_noun(row, region, self.clock.now()))
            if len(rows) == PAGE:
                yield ImageBatch(images=rows)
                rows = []
        yield ImageBatch(images=rows, last=True)

    def image_noun(self, row: Mapping[str, Any], region: str, now: float | None = None) -> Image:
        """Return the noun of an image as AWS described it; sizes are those of all its disks together."""
        ident = row.get("ImageId") or ""
        os, login = guess.system(row)
        size = 0
        for mapping in row.get("BlockDeviceMappings") or ():
            size += (mapping.get("Ebs") or {}).get("VolumeSize") or 0
        return Image.of_fields(
            name=row.get("Name") or ident, cloud=self.name, id=ident, region=region, os=os, login=login,
            arch=row.get("Architecture") or "", size=size << 30 if size else None, state=row.get("State") or "",
            created=guess.seconds(row.get("CreationDate")), owner=row.get("OwnerId") or "", public=row.get("Public"),
            labels=_labels(row), raw=row, fetched=now,
        )  # fmt: skip

    def _described(self, region: str, **params: Any) -> list[dict[str, Any]]:
        try:
            found: list[dict[str, Any]] = self.link.call("describe_images", region, **params).get("Images") or []
        except NotFound:
            return []
        return found

    def delete_image(self, image: Image) -> None:
        """Deregister an image of this account and delete its snapshots; already gone is success.

        A snapshot that another image or person still uses stays. Raises: Conflict (VMs stand on it), Denied (not ours).
        """
        region = image.region or self.link.region
        rows = self._described(region, ImageIds=[image.id])
        if not rows:
            return
        used = [row["InstanceId"] for row in self.instances(region, Filters=_filters(image_id=image.id))
                if (row.get("State") or {}).get("Name") not in ("terminated", "shutting-down")]  # fmt: skip
        if used:
            raise Conflict(f"{', '.join(used[:5])} stand on the image '{image.name}'", hint="delete these VMs first")
        self.link.call("deregister_image", region, ImageId=image.id)
        for mapping in rows[0].get("BlockDeviceMappings") or ():
            snapshot = (mapping.get("Ebs") or {}).get("SnapshotId")
            if snapshot:
                self._drop_snapshot(region, str(snapshot))

    def _drop_snapshot(self, region: str, snapshot: str) -> None:
        try:
            self.link.call("delete_snapshot", region, SnapshotId=snapshot)
        except CloudmsError as error:
            if not code_of(error).startswith(("InvalidSnapshot", "UnauthorizedOperation", "OperationNotPermitted")):
                raise


def owners(value: Any, otherwise: Sequence[str] = guess.OWNERS) -> tuple[str, ...]:
    """Return the owners of a list or text with commas, publishers by the number of their account."""
    listed = value if isinstance(value, list | tuple) else str(value or "").replace(",", " ").split()
    names = {"canonical": guess.CANONICAL, "ubuntu": guess.CANONICAL, "debian": guess.DEBIAN, "fedora": guess.FEDORA,
             "redhat": guess.REDHAT, "suse": guess.SUSE, "rocky": guess.ROCKY}  # fmt: skip
    found = [names.get(str(each).lower(), str(each)) for each in listed] or list(otherwise)
    return tuple(dict.fromkeys(found))


def asked(query: ImageQuery) -> dict[str, Any]:
    """Return what DescribeImages is asked for a query."""
    filters = _filters(architecture=query.arch, name=f"*{_literal(query.text)}*" if query.text else "")
    wanted: dict[str, Any] = {"Owners": list(query.owners)} if query.owners else {}
    return {**wanted, **({"Filters": filters} if filters else {})}


def _filters(**wanted: str) -> list[dict[str, Any]]:
    return [{"Name": name.replace("_", "-"), "Values": [value]} for name, value in wanted.items() if value]


def _literal(text: str) -> str:
    """Return text whose signs a filter takes as they are."""
    return "".join(f"\\{sign}" if sign in "\\*?" else sign for sign in text)


def _labels(row: Mapping[str, Any]) -> dict[str, str]:
    tags = row.get("Tags")
    return {str(tag.get("Key")): str(tag.get("Value") or "") for tag in tags if tag.get("Key")} if tags else {}


def _count(value: Any, otherwise: int) -> int:
    """Return the setting `walkers`. Raises: Invalid."""
    if value in (None, ""):
        return otherwise
    if not str(value).isdigit() or not 1 <= int(value) <= _MOST:
        raise Invalid(f"walkers cannot be {value!r}", hint=f"a number from 1 to {_MOST}, by default {otherwise}")
    return int(value)


def _rate(value: Any) -> float:
    try:
        return max(0.0, float(value or 0.0))
    except (TypeError, ValueError):
        return 0.0
