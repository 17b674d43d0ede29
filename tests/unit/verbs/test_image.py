"""Images: of the clouds and of this machine's store, brought in with progress, deleted when nothing stands on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cloudms.clock import ManualClock
from cloudms.context import Context
from cloudms.engine import Work
from cloudms.errors import Conflict, Exists, Interrupted, Invalid, NotFound, Unsupported
from cloudms.images import store
from cloudms.images.store import ImageStore, StoredImage
from cloudms.model import OperationState, Step
from cloudms.verbs.image.progress import reporter
from tests.unit.verbs.conftest import Call, events, outcome
from tests.unit.verbs.test_lists import fake


@pytest.fixture
def mine(call: Call, disk: Path) -> str:
    """Return the name of an image in the store."""
    call("image add", disk, name="mine", os="debian 12", login="debian")
    return "mine"


def test_list_with_words_and_limit(call: Call) -> None:
    assert len(call("image list").items) == 12
    found = call("image list", ["debian", "13"]).items
    assert [(i.name, i.cloud) for i in found] == [("debian-13", "one"), ("debian-13", "two")]
    assert len(call("image list", ["debian"], limit=2).items) == 2


def test_the_stores_images_are_listed_until_a_cloud_lists_them(call: Call, mine: str) -> None:
    first = call("image list").items[0]
    assert (first.name, first.cloud, first.os, first.login) == ("mine", "", "debian 12", "debian")
    assert [i.name for i in call("image list", ["debian", "mine"]).items] == ["mine"]
    assert [i.name for i in call("image list", ["debian"], limit=1).items] == ["mine"]
    assert "mine" not in [i.name for i in call("image list", cloud="one").items]


def test_a_broken_image_is_said_and_can_be_deleted(ctx: Context, call: Call, mine: str) -> None:
    (ImageStore().root / mine / "disk.qcow2").unlink()
    assert "mine" not in [i.name for i in call("image list").items]
    assert any("cms image delete mine" in warning for warning in ctx.warnings)
    call("image delete", [mine])
    assert not (ImageStore().root / mine).exists()


def test_add_takes_a_file_in_and_leaves_it_alone(ctx: Context, call: Call, disk: Path) -> None:
    before = disk.read_bytes()
    added = outcome(call("image add", disk, name="d1", login="root", os="linux"))
    assert (added["name"], added["login"], added["os"], added["state"]) == ("d1", "root", "linux", "local")
    assert added["digest"].startswith("sha256:")
    assert disk.read_bytes() == before
    assert store.get("d1").virtual_size == 10 << 20
    assert events(ctx) == [f"image.add d1: taken in from {disk}"]


def test_add_checks_before_anything_is_planned(ctx: Context, call: Call, disk: Path, tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="My Disk"):
        call("image add", disk)
    plain = disk.rename(tmp_path / "plain.qcow2.qcow2")
    assert call("image add", plain, dry_run=True).steps[0].target == "plain"
    call("image add", plain)
    with pytest.raises(Exists, match="plain"):
        call("image add", plain)
    assert call("image add", plain, force=True).state is OperationState.DONE
    with pytest.raises(NotFound):
        call("image add", tmp_path / "none.img")
    (tmp_path / "text.img").write_text("hello" * 1000)
    with pytest.raises(Invalid, match="not a disk image"):
        call("image add", tmp_path / "text.img")
    assert len(ctx.catalog.find("operation")) == 2


def test_info_of_the_store_of_a_cloud_and_of_several(ctx: Context, call: Call, mine: str) -> None:
    assert call("image info", mine)["store"]["format"] == "qcow2"
    assert call("image info", "img-0002")["name"] == "debian"
    assert call("image info", "micro")["cloud"] == "one"  # the default cloud's
    assert call("image info", "micro", cloud="two")["cloud"] == "two"
    call("set", ["cloud=local"])
    with pytest.raises(Conflict, match="several images"):
        call("image info", "micro")
    with pytest.raises(NotFound) as caught:
        call("image info", "debain-13")
    assert "debian-13" in caught.value.hint


def test_build_runs_the_recipe_with_progress(call: Call, ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def build(name: str, *, force: bool, progress: Any, clock: Any) -> StoredImage:
        asked.update(name=name, force=force)
        progress(0, 2, "fetch packages")
        progress(1, 2, "make the disk")
        progress(2, 2, "done")
        return _stored(name)

    heard: list[tuple[str, str]] = []
    ctx.progress = lambda target, text: heard.append((target, text))
    monkeypatch.setattr("cloudms.images.build.build", build)
    made = outcome(call("image build", "micro", force=True))
    assert (made["name"], made["size"], asked) == ("micro", 3, {"name": "micro", "force": True})
    assert heard == [("micro", "fetch packages (1 of 2)"), ("micro", "make the disk (2 of 2)"), ("micro", "done")]
    assert events(ctx) == ["image.build micro: built"]
    with pytest.raises(NotFound) as caught:
        call("image build", "mikro")
    assert "micro" in caught.value.hint


def _stored(name: str) -> StoredImage:
    facts: dict[str, Any] = {"digest": "sha256:0", "format": "qcow2", "virtual_size": 1, "files": {"disk": 3}}
    return StoredImage(name=name, folder=Path("/nowhere"), disk="disk", source="http://127.0.0.1/i", **facts)


def test_pull_passes_on_what_was_asked(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def pull(source: str, *, progress: Any, clock: Any, **options: Any) -> StoredImage:
        asked.update(source=source, **options)
        return _stored(options["name"] or source)

    monkeypatch.setattr("cloudms.images.pull.pull", pull)
    call("image pull", "http://127.0.0.1/i.qcow2", name="i", checksum="sha256:ab", login="me", force=True)
    assert asked == {
        "source": "http://127.0.0.1/i.qcow2", "name": "i", "checksum": "sha256:ab", "login": "me", "force": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("source", "error"),
    [("no-such-image", NotFound), ("ftp://x/i.img", Invalid), ("https://me:secret@x/i.img", Invalid)],
)
def test_pull_refuses_before_anything_is_planned(ctx: Context, call: Call, source: str, error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        call("image pull", source)
    assert "secret" not in str(caught.value)
    assert ctx.catalog.find("operation") == []


def test_delete_from_store_and_clouds(ctx: Context, call: Call, mine: str) -> None:
    plan = call("image delete", [mine], dry_run=True)
    assert plan.question == "Delete the image mine from this machine for good?"
    call("image delete", [mine])
    assert store.find(mine) is None
    with pytest.raises(NotFound, match="mine"):
        call("image delete", [mine])


def test_delete_is_refused_while_vms_stand_on_it(ctx: Context, call: Call) -> None:
    call("vm boot", "micro", name="web", count=2, cloud="two")
    with pytest.raises(Conflict, match=r"web-\[1-2\] stand on the image 'micro'"):
        call("image delete", ["micro"], cloud="two")
    with pytest.raises(Conflict):
        call("image delete", ["micro"])
    plan = call("image delete", ["micro"], cloud="one", dry_run=True)
    assert plan.steps[0].params == {"copies": [{"cloud": "one", "id": "img-0001"}], "store": False}
    call("vm delete", ["web-1", "web-2"])
    call("image delete", ["micro"], cloud="two")
    assert len(fake(ctx, "two").calls("delete_image")) == 1
    assert len(fake(ctx, "one").calls("delete_image")) == 0


def test_a_refusing_cloud_leaves_the_store_alone(ctx: Context, call: Call, disk: Path) -> None:
    call("image add", disk, name="micro")
    fake(ctx, "one").add_fault("denied", call="delete_image")
    assert outcome(call("image delete", ["micro"]))["code"] == "denied"
    assert store.find("micro") is not None
    call("image delete", ["micro"])
    assert store.find("micro") is None


@pytest.mark.usefixtures("plain")
def test_a_cloud_that_keeps_no_images_is_refused(call: Call) -> None:
    with pytest.raises(Unsupported, match="no image delete"):
        call("image delete", ["only"], cloud="plain")


class Heard:
    """A step whose reports are kept."""

    def __init__(self, ctx: Context) -> None:
        self.texts: list[str] = []
        ctx.progress = lambda _target, text: self.texts.append(text)
        self.work = Work(ctx, Step(action="image.pull", cloud="", target="i"), "op-1")


def test_progress_tells_percent_and_rate_twice_a_second(ctx: Context, clock: ManualClock) -> None:
    heard = Heard(ctx)
    tell = reporter(heard.work)
    for second in range(5):
        tell(second << 20, 4 << 20, "download")
        tell((second << 20) + 1, 4 << 20, "download")  # in the same moment: not told
        clock.sleep(1)
    tell(0, None, "checksum")
    tell(5, None, "done")
    assert heard.texts == [
        "download",
        "download 25% of 4.0 MiB, 1.0 MiB/s",
        "download 50% of 4.0 MiB, 1.0 MiB/s",
        "download 75% of 4.0 MiB, 1.0 MiB/s",
        "download 100% of 4.0 MiB, 1.0 MiB/s",
        "checksum",
    ]


def test_a_continued_download_counts_its_rate_from_where_it_began(ctx: Context, clock: ManualClock) -> None:
    heard = Heard(ctx)
    tell = reporter(heard.work)
    tell(100 << 20, 200 << 20, "download")
    clock.sleep(2)
    tell(104 << 20, 200 << 20, "download")
    assert heard.texts == ["download 50% of 200 MiB", "download 52% of 200 MiB, 2.0 MiB/s"]


def test_an_unknown_total_is_told_in_bytes(ctx: Context) -> None:
    heard = Heard(ctx)
    reporter(heard.work)(1536, None, "download")
    assert heard.texts == ["download 1.5 KiB"]


def test_cancel_and_ctrl_c_end_a_long_action(ctx: Context, clock: ManualClock) -> None:
    tell = reporter(Heard(ctx).work)
    tell(0, 100, "download")
    ctx.catalog.put("operation", {"op-1": {"name": "op-1", "cancel": True}})
    clock.sleep(1)
    with pytest.raises(Interrupted):
        tell(50, 100, "download")
    assert ctx.stopping.is_set()
