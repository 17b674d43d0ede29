"""Building: cached by recipe, all or nothing, missing programs named at once; cooked here by a stand-in recipe."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from cloudms.clock import ManualClock
from cloudms.clouds.libvirt.bases import BUILDABLE
from cloudms.errors import NoCapacity, NotFound, NotReady, Timeout, Unsupported
from cloudms.images import build as module
from cloudms.images import recipe as recipes
from cloudms.images import tools
from cloudms.images.build import RECIPES, build
from cloudms.images.recipe import Cooked, Kitchen, Recipe
from cloudms.images.store import ImageStore


class Cook:
    """A recipe that makes a small file, and counts how often."""

    def __init__(self) -> None:
        self.cooked = 0
        self.error: BaseException | None = None

    def __call__(self, kitchen: Kitchen) -> Cooked:
        """Make the image's files."""
        self.cooked += 1
        kitchen.say("stir")
        for name in ("disk.qcow2", "vmlinux", "initrd.img"):
            (kitchen.folder / name).write_bytes(name.encode())
        (kitchen.work / "scrap").write_bytes(b"x")
        if self.error is not None:
            raise self.error
        return Cooked("disk.qcow2", "vmlinux", "initrd.img", 1 << 30, "http://mirror", ("a=1",))


@pytest.fixture
def cook() -> Cook:
    """Return the stand-in."""
    return Cook()


@pytest.fixture
def store(tmp_path: Path, clock: ManualClock) -> ImageStore:
    """Return an empty store."""
    return ImageStore(tmp_path / "images", clock=clock)


@pytest.fixture(autouse=True)
def soup(cook: Cook, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """Enter the stand-in among the recipes."""
    made = Recipe("soup", "Soup 1", "bookworm", "me", "console=ttyS0", 64, ("a",), ("rm",), 1, cook)
    monkeypatch.setitem(RECIPES, "soup", made)
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    return made


def test_record_of_a_built_image(store: ImageStore, soup: Recipe, clock: ManualClock) -> None:
    said: list[tuple[int, int | None, str]] = []
    image = build("soup", store=store, clock=clock, progress=lambda *step: said.append(step))
    assert (image.boot, image.login, image.cmdline, image.min_memory_mib) == ("direct", "me", "console=ttyS0", 64)
    assert image.recipe_digest == soup.digest()
    assert (image.packages, image.created) == (("a=1",), clock.now())
    assert sorted(image.files) == ["disk.qcow2", "initrd.img", "vmlinux"]
    assert said[0] == (0, 1, "stir") and said[-1] == (1, 1, "done")


def test_second_build_is_found_and_force_builds_again(store: ImageStore, cook: Cook) -> None:
    first = build("soup", store=store)
    assert build("soup", store=store) == first
    assert cook.cooked == 1
    build("soup", store=store, force=True)
    assert cook.cooked == 2


def test_changed_recipe_builds_again(
    store: ImageStore, cook: Cook, soup: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    build("soup", store=store)
    monkeypatch.setitem(RECIPES, "soup", replace(soup, packages=("a", "b")))
    build("soup", store=store)
    assert cook.cooked == 2


def test_changed_guest_file_is_a_changed_recipe(tmp_path: Path, soup: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipes, "GUEST", tmp_path)
    (tmp_path / "soup/root/etc").mkdir(parents=True)
    digests = {soup.digest()}
    for content in (b"one", b"two"):
        (tmp_path / "soup/root/etc/x").write_bytes(content)
        digests.add(soup.digest())
    (tmp_path / "soup/root/etc/__pycache__").mkdir()
    (tmp_path / "soup/root/etc/__pycache__/x.pyc").write_bytes(b"made by an installer")
    digests.add(soup.digest())
    assert len(digests) == 3


@pytest.mark.parametrize("error", [KeyboardInterrupt(), NotReady("mirror down"), ValueError("bug")])
def test_failed_build_leaves_nothing_and_keeps_the_old_image(
    store: ImageStore, cook: Cook, error: BaseException
) -> None:
    first = build("soup", store=store)
    cook.error = error
    with pytest.raises(type(error)):
        build("soup", store=store, force=True)
    assert store.scan() == ([first], [])
    assert sorted(p.name for p in store.root.iterdir()) == [".lock-soup", "soup"]


def test_full_disk_is_no_capacity(store: ImageStore, cook: Cook) -> None:
    cook.error = OSError(28, "No space left on device")
    with pytest.raises(NoCapacity):
        build("soup", store=store)
    assert store.scan() == ([], [])


def test_unknown_recipe_names_the_known_ones(store: ImageStore) -> None:
    with pytest.raises(NotFound) as error:
        build("windows", store=store)
    assert "micro" in error.value.hint and "debian" in error.value.hint


def test_missing_programs_are_named_with_their_packages(
    store: ImageStore, soup: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RECIPES, "soup", replace(soup, programs=("mke2fs", "lz4", "qemu-img")))
    monkeypatch.setattr(tools, "find", lambda program: None if program != "lz4" else "/usr/bin/lz4")
    with pytest.raises(NotReady) as error:
        build("soup", store=store)
    assert "mke2fs, qemu-img" in error.value.message
    assert error.value.hint == "sudo apt-get install e2fsprogs qemu-utils"


def test_other_processors_are_refused(store: ImageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    with pytest.raises(Unsupported):
        build("soup", store=store)


def test_real_recipes_are_told_apart() -> None:
    assert len({recipe.digest() for recipe in RECIPES.values()}) == len(RECIPES) > 3
    assert RECIPES["micro"].login == "cms" and RECIPES["debian"].login == "debian"
    assert module.build is build


def test_an_image_adds_to_another_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    micro, node = RECIPES["micro"], RECIPES["micro-slurm"]
    assert set(micro.packages) < set(node.packages) >= {"slurmd", "munge"}
    assert (node.parts, micro.parts, node.login) == (("micro", "micro-slurm"), ("micro",), "cms")
    shutil.copytree(recipes.GUEST, tmp_path / "guest")
    monkeypatch.setattr(recipes, "GUEST", tmp_path / "guest")
    before = node.digest()
    (tmp_path / "guest" / "micro" / "root" / "etc" / "hosts").write_text("changed")
    assert node.digest() != before


def test_every_recipe_is_built_when_it_is_missing() -> None:
    assert set(BUILDABLE) == set(RECIPES) - {"soup"}


def test_sbin_is_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert tools.find("nologin") in ("/usr/sbin/nologin", "/sbin/nologin")


def test_program_failures_are_house_errors(tmp_path: Path) -> None:
    assert tools.run(["cat"], stdin=b"x") == b"x"
    with pytest.raises(NotReady, match="not installed"):
        tools.run([str(tmp_path / "no-such-program")])
    with pytest.raises(NotReady, match="E: it broke"):
        tools.run(["sh", "-c", "echo 'E: it broke' >&2; echo noise >&2; exit 3"])
    with pytest.raises(Timeout):
        tools.run(["sleep", "5"], timeout=0.05)


SCRIPTS = [path for path, content, _ in recipes.guest_files("micro") if content.startswith(b"#!/bin/sh")]


@pytest.mark.parametrize("path", [*SCRIPTS, "root/usr/lib/cms/identity", "root/usr/lib/cms/network"])
def test_guest_scripts_are_shell(path: str) -> None:
    subprocess.run(["sh", "-n", str(recipes.GUEST / "micro" / path)], check=True)


def test_scripts_are_executable_whatever_packaging_did_to_modes() -> None:
    modes = {path: mode for path, _, mode in recipes.guest_files("micro")}
    assert modes["root/usr/lib/cms/rc"] == 0o755
    assert modes["root/etc/passwd"] == 0o644
    assert os.access(recipes.GUEST / "boot" / "init", os.R_OK)
