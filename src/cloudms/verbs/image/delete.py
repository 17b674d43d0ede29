"""`cms image delete`: from this machine's store and from the clouds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Annotated

from cloudms import names as naming
from cloudms.clouds.base import DeleteImages
from cloudms.context import Context
from cloudms.engine import Plan, Work, action
from cloudms.engine.browse import warn
from cloudms.engine.labels import check_named, expanded, narrow
from cloudms.engine.refresh import event
from cloudms.errors import Conflict, NotFound
from cloudms.model import Image, Noun, Step
from cloudms.verb import LOCAL, Doc, Names, verb
from cloudms.verbs.image.look import ImageNames, list_, matching
from cloudms.verbs.labels import Labels


@verb("image", "delete", changes=True, doors=LOCAL, columns=("name", "state"), example="cms image delete micro --yes")
def delete(
    ctx: Context,
    names: ImageNames = [],  # noqa: B006 (never changed)
    *,
    cloud: Annotated[str | None, Doc("delete only the copies that this cloud keeps"), Names("cloud")] = None,
    label: Labels = None,
) -> Plan:
    """Delete images from this machine's store and from the clouds they were brought to.

    One that VMs stand on is refused.
    """
    found = [_deletion(ctx, name, cloud) for name in _chosen(ctx, names, cloud, label)]
    what = ", ".join(text for text, _ in found)
    return Plan(
        verb="image delete",
        summary=f"delete {what}",
        question=f"Delete {what} for good?",
        steps=tuple(step for _, step in found),
    )


def _chosen(ctx: Context, words: Sequence[str], cloud: str | None, label: Mapping[str, str] | None) -> list[str]:
    """Return the names that were given, or those of the images that have the labels. Raises: Invalid, NotFound."""
    check_named("image", words, label)
    wanted = expanded(words)
    if not label:
        return wanted
    listing = list_(ctx, cloud=cloud, refresh=True)
    warn(ctx, listing)
    found = narrow("image", (i for i in listing.items if not wanted or {i.name, i.id} & set(wanted)), label)
    return list(dict.fromkeys(image.name for image in found))


def _deletion(ctx: Context, name: str, cloud: str | None) -> tuple[str, Step]:
    """Return what is deleted in words, and its step. Raises: NotFound, Conflict."""
    stored = not cloud and _in_folder(name)
    found = matching(ctx, name, cloud, none_is_fine=stored, role=DeleteImages)
    _check_unused(ctx, name, found)
    places = [image.cloud for image in found] + (["this machine"] if stored else [])
    params = {"copies": [{"cloud": image.cloud, "id": image.id} for image in found], "store": stored}
    step = Step(action="image.delete", cloud="", target=name, params=params)
    return f"the image {name} from {' and '.join(places)}", step


def _in_folder(name: str) -> bool:
    """Whether the store has an image of that name, broken or not."""
    from cloudms.images import store

    good, broken = store.scan()
    return name in {image.name for image in good} | {image.name for image in broken}


def _check_unused(ctx: Context, name: str, found: list[Image]) -> None:
    """Refuse while VMs of these clouds stand on the image. Raises: Conflict."""
    ids = {(image.cloud, word) for image in found for word in (image.name, image.id, name)}
    users = [
        str(row.document["name"])
        for cloud in dict.fromkeys(image.cloud for image in found)
        for row in ctx.catalog.find("vm", cloud=cloud)
        if (cloud, row.document["image"]) in ids
    ]
    if users:
        raise Conflict(f"{naming.compress(users)} stand on the image '{name}'", hint="delete these VMs first")


@action("image.delete")
def _delete(work: Work) -> Noun:
    """Delete the copies first, so that a refused one leaves the image where it came from."""
    ctx, name, params = work.ctx, work.step.target, work.step.params
    for copy in params["copies"]:
        work.report(f"deleting it from {copy['cloud']}")
        stored = ctx.catalog.get("image", f"{copy['cloud']}/{copy['id']}")
        image = Image.from_document(stored.document) if stored else Image(name=name, **copy)
        ctx.cloud(copy["cloud"]).delete_image(image)  # type: ignore[attr-defined]
        events = [event(ctx, "image.delete", image, f"deleted from {image.cloud}", work.operation)]
        ctx.catalog.delete("image", [image.key], events=events)
    gone = Image(name=name, state="deleted")
    if params["store"]:
        from cloudms.images import store

        with suppress(NotFound):
            store.delete(name)
        ctx.catalog.put("event", {}, events=[event(ctx, "image.delete", gone, "deleted here", work.operation)])
    return gone
