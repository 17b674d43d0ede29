"""A house over two fake clouds, with the catalog that people have, and a clock that is told to move."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cloudms import registry
from cloudms.catalog.sqlite import SqliteCatalog
from cloudms.clock import ManualClock
from cloudms.config import Config
from cloudms.context import Context
from cloudms.engine import keys
from cloudms.model import Operation
from tests.unit.calling import Call, calling

CONFIG = """\
cloudmesh:
  profile: {user: alice}
  default: {cloud: one}   # a comment that stays
  cloud:
    one:
      cm: {active: true, kind: fake}
      default: {image: micro, flavor: small}
    two:
      cm: {active: true, kind: fake}
      refuse: {batch: it makes one VM at a time}
    aws:
      cm: {active: true, kind: aws}
      credentials: {EC2_ACCESS_ID: TBD, EC2_SECRET_KEY: TBD}
    strange:
      cm: {active: true, kind: strange}
    local:
      cm: {active: false, kind: libvirt}
"""


@pytest.fixture(scope="session")
def own_pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return cloudms' own key pair, made once: ssh-keygen would run for every test that boots a VM."""
    private = tmp_path_factory.mktemp("pair") / keys.OWN
    keys.generate(private, comment=keys.OWN)
    return private


@pytest.fixture(autouse=True)
def quick_keys(monkeypatch: pytest.MonkeyPatch, own_pair: Path) -> None:
    """Hand out that pair where the own key is made; others are made as ever."""
    make = keys.generate

    def generate(private: Path, *, comment: str) -> None:
        if comment != keys.OWN:
            make(private, comment=comment)
            return
        for end in (".pub", ""):
            shutil.copy(f"{own_pair}{end}", f"{private}{end}")

    monkeypatch.setattr(keys, "generate", generate)


@pytest.fixture
def ctx(own_home: Path, clock: ManualClock) -> Iterator[Context]:
    """Return a context with two active fake clouds."""
    folder = own_home / ".cloudmesh"
    folder.mkdir(mode=0o700)
    file = folder / "cloudmesh.yaml"
    file.write_text(CONFIG)
    file.chmod(0o600)
    catalog = SqliteCatalog(folder / "catalog.sqlite")
    kinds = registry.index().families["cloudms.clouds"]
    made = Context(catalog=catalog, clock=clock, config=Config(kinds=kinds), actor="alice@desk")
    yield made
    made.close()


@pytest.fixture
def plain(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install a kind of cloud without any role, and configure one of it."""
    assert ctx.config.path
    families = registry.index().families
    kinds = {**families["cloudms.clouds"], "plain": "tests.unit.verbs.plain:PlainCloud"}
    monkeypatch.setitem(registry.index().__dict__, "families", {**families, "cloudms.clouds": kinds})
    ctx.config.path.write_text(CONFIG + "    plain:\n      cm: {active: true, kind: plain}\n")
    monkeypatch.setattr(ctx, "_config", Config(kinds=kinds))


@pytest.fixture
def call(ctx: Context) -> Call:
    """Return a function that calls a verb by its words and carries out its plan."""
    return calling(ctx)


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """Return a small disk image: an empty qcow2 of version 3 (QEMU docs/interop/qcow2.txt)."""
    header = struct.pack(
        ">4sIQIIQIIQQIIQQQQII", b"QFI\xfb", 3, 0, 0, 16, 10 << 20, 0, 1, 196608, 65536, 1, 0, 0, 0, 0, 0, 4, 104
    )
    file = tmp_path / "My Disk.qcow2"
    file.write_bytes(header.ljust(262144, b"\0"))
    return file


def outcome(operation: Operation) -> Any:
    """Return the result of an operation's only step, or the public error it failed with."""
    (step,) = operation.steps
    return step.error or step.result


def events(ctx: Context) -> list[str]:
    """Return what the event log says, the oldest first."""
    rows = ctx.catalog.find("event", newest=True)
    return [f"{row.document['action']} {row.document['target']}: {row.document['text']}" for row in reversed(rows)]
