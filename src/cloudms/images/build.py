"""Build an image from Debian packages on this machine: `micro` for speed, `micro-slurm` for nodes of a Slurm, `debian`
for the full system.

Cached by what goes in, and reproducible: the same packages give the same bytes.
"""

from __future__ import annotations

import platform
from pathlib import Path

from cloudms import paths
from cloudms.clock import Clock, SystemClock
from cloudms.errors import NotFound, Unsupported
from cloudms.images import debian, micro, micro_slurm, tools
from cloudms.images.recipe import Kitchen, Recipe
from cloudms.images.store import ImageStore, Progress, StoredImage, file_digest, silent

RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in (micro.RECIPE, micro_slurm.RECIPE, debian.RECIPE)}


def build(
    name: str,
    *,
    force: bool = False,
    progress: Progress = silent,
    store: ImageStore | None = None,
    clock: Clock | None = None,
) -> StoredImage:
    """Return the image `name` ("micro", "debian" …), built now unless the store has one of the same recipe.

    Parameters: `force` builds again, with the packages of today; `progress` hears each step. NotFound for another name,
    NotReady when a host program, Debian's keys or the mirror are missing, Unsupported on another processor,
    NoCapacity when the disk is full. Two processes that build the same image do it once.
    """
    recipe = RECIPES.get(name)
    if recipe is None:
        raise NotFound(f"no recipe for an image '{name}'", hint=f"known: {', '.join(sorted(RECIPES))}")
    store = store if store is not None else ImageStore()
    clock = clock if clock is not None else SystemClock()
    digest = recipe.digest()
    if not force and (ready := _ready(store, name, digest)):
        return ready
    _check_host(recipe)
    with store.lock(name):
        if not force and (ready := _ready(store, name, digest)):
            return ready
        with store.staging(name) as folder:
            return store.publish(_cook(recipe, folder, digest, progress, clock))


def _ready(store: ImageStore, name: str, digest: str) -> StoredImage | None:
    image = store.find(name)
    return image if image is not None and image.recipe_digest == digest else None


def _check_host(recipe: Recipe) -> None:
    if platform.machine() != "x86_64":
        raise Unsupported(
            f"'{recipe.name}' is built on x86_64 only, this is {platform.machine()}", hint="pull an image"
        )
    tools.require(*recipe.programs, why=f"building '{recipe.name}'")
    recipe.check()


def _cook(recipe: Recipe, folder: Path, digest: str, progress: Progress, clock: Clock) -> StoredImage:
    steps = recipe.steps
    said: list[str] = []

    def say(text: str) -> None:
        progress(len(said), steps, text)
        said.append(text)

    work = folder / "work"
    work.mkdir()
    kitchen = Kitchen(folder=folder, work=work, cache=paths.cache() / f"apt-{recipe.suite}", say=say)
    cooked = recipe.cook(kitchen)
    tools.run(["rm", "-rf", work])
    say("checksum")
    image = StoredImage(
        name=recipe.name,
        folder=folder,
        disk=cooked.disk,
        digest=file_digest(folder / cooked.disk),
        format="qcow2",
        virtual_size=cooked.virtual_size,
        os=recipe.os,
        login=recipe.login,
        kernel=cooked.kernel,
        initrd=cooked.initrd,
        cmdline=recipe.cmdline,
        boot="direct",
        first_boot="cloud-init",
        min_memory_mib=recipe.min_memory_mib,
        created=clock.now(),
        recipe_digest=digest,
        source=cooked.source,
        packages=cooked.packages,
    )
    progress(steps, steps, "done")
    return image
