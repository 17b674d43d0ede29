"""`cms image build`, `pull` and `add`: bring images into this machine's store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cloudms import names as naming
from cloudms.context import Context, not_found
from cloudms.engine import Plan, Work, action
from cloudms.engine.refresh import event
from cloudms.errors import Exists, Invalid
from cloudms.model import Image, Noun, Step
from cloudms.verb import LOCAL, Doc, File, verb
from cloudms.verbs.image.look import COLUMNS, noun_of
from cloudms.verbs.image.progress import reporter
from cloudms.verbs.labels import PutLabels

if TYPE_CHECKING:
    from cloudms.images.store import StoredImage


@verb("image", "build", changes=True, doors=LOCAL, columns=COLUMNS, example="cms image build micro")
def build(
    ctx: Context,
    name: Annotated[
        str, Doc("what to build: micro boots in seconds, micro-slurm is a node of a Slurm, debian the full system")
    ],
    *,
    force: Annotated[bool, Doc("build again, with the packages of today")] = False,
    label: PutLabels = None,
) -> Plan:
    """Build an image on this machine from the packages of Debian, as an ordinary user and without a hypervisor."""
    from cloudms.images.build import RECIPES

    if name not in RECIPES:
        raise not_found("recipe", name, RECIPES, f"known: {', '.join(RECIPES)}; cms image pull fetches others")
    return _plan("image build", f"build the image {name}", name, force=force, labels=naming.labels(label))


@action("image.build")
def _build(work: Work) -> Noun:
    from cloudms.images.build import build as built

    tell = reporter(work, steps=True)
    image = built(work.step.target, force=work.step.params["force"], progress=tell, clock=work.ctx.clock)
    return _kept(work, image, "built")


@verb("image", "pull", changes=True, doors=LOCAL, columns=COLUMNS, example="cms image pull debian-12")
def pull(
    ctx: Context,
    source: Annotated[str, Doc("name of an official image (debian-12, ubuntu-24.04 …), or the address of one")],
    *,
    name: Annotated[str | None, Doc("name it gets; its own otherwise")] = None,
    checksum: Annotated[str | None, Doc("what an address must match, as sha256:SUM")] = None,
    login: Annotated[str | None, Doc("user name that SSH wants, for an address")] = None,
    force: Annotated[bool, Doc("fetch it again")] = False,
    label: PutLabels = None,
) -> Plan:
    """Fetch an image into this machine's store.

    What breaks off is continued the next time; checksums are checked.
    """
    if "://" in source:
        from urllib.parse import urlsplit

        from cloudms.images.download import check_address

        if "@" in urlsplit(source).netloc:
            raise Invalid(
                "an address with a password in it would be written down", hint="fetch it yourself, then cms image add"
            )
        check_address(source)
    else:
        import platform

        from cloudms.images.index import lookup

        lookup(source, platform.machine())
    params = {
        "source": source,
        "name": name or "",
        "checksum": checksum or "",
        "login": login or "",
        "force": force,
        "labels": naming.labels(label),
    }
    return _plan("image pull", f"fetch the image {source}", name or source, **params)


@action("image.pull")
def _pull(work: Work) -> Noun:
    from cloudms.images.pull import pull as pulled

    params = work.step.params
    image = pulled(
        params["source"],
        name=params["name"],
        checksum=params["checksum"],
        login=params["login"],
        force=params["force"],
        progress=reporter(work),
        clock=work.ctx.clock,
    )
    return _kept(work, image, f"fetched from {image.source}")


@verb("image", "add", changes=True, doors=LOCAL, columns=COLUMNS, example="cms image add disk.qcow2 --name mine")
def add(
    ctx: Context,
    file: Annotated[Path, Doc("disk image: qcow2, raw, vmdk, vhd or vhdx, also compressed"), File()],
    *,
    name: Annotated[str | None, Doc("name it gets; that of the file otherwise")] = None,
    login: Annotated[str, Doc("user name that SSH wants")] = "",
    os: Annotated[str, Doc("system it holds, such as 'debian 12'")] = "",
    force: Annotated[bool, Doc("take the place of an image of that name")] = False,
    label: PutLabels = None,
) -> Plan:
    """Take a disk image file into this machine's store; the file itself is left alone."""
    from cloudms.images import formats, store
    from cloudms.images.add import usable

    path = file.expanduser().absolute()
    usable(formats.sniff(path), path.name)
    chosen = name or _stem(path)
    if not force and store.find(chosen):
        raise Exists(f"there is an image '{chosen}' already", hint="--name gives another name, --force replaces it")
    params = {"file": str(path), "login": login, "os": os, "force": force, "labels": naming.labels(label)}
    return _plan("image add", f"take in {path.name} as {chosen}", chosen, **params)


def _stem(path: Path) -> str:
    """Return the name of a file without the endings of disk images."""
    stem = path.name
    while Path(stem).suffix in (".qcow2", ".img", ".raw", ".vmdk", ".vhd", ".vhdx", ".gz", ".bz2", ".xz", ".zst"):
        stem = Path(stem).stem
    return naming.valid(stem)


@action("image.add")
def _add(work: Work) -> Noun:
    from cloudms.images.add import Facts
    from cloudms.images.add import add as added

    params = work.step.params
    image = added(
        Path(params["file"]),
        work.step.target,
        facts=Facts(os=params["os"], login=params["login"], source=params["file"]),
        replace_existing=params["force"],
        progress=reporter(work),
        clock=work.ctx.clock,
    )
    return _kept(work, image, f"taken in from {image.source}")


def _plan(verb_: str, summary: str, target: str, **params: Any) -> Plan:
    step = Step(action=verb_.replace(" ", "."), cloud="", target=target, params=params)
    return Plan(verb=verb_, summary=summary, steps=(step,))


def _kept(work: Work, stored: StoredImage, text: str) -> Image:
    """Put the labels on an image, write down what happened, and return it."""
    labels = work.step.params.get("labels")
    if labels:
        from cloudms.images.store import ImageStore

        stored = ImageStore(clock=work.ctx.clock).label(stored.name, lambda old: {**old, **labels})
    image = noun_of(stored)
    work.ctx.catalog.put("event", {}, events=[event(work.ctx, work.step.action, image, text, work.operation)])
    return image
