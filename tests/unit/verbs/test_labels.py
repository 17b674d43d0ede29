"""Labels: put on every noun that a person makes, checked in one place, and chosen by wherever names are taken."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloudms import paths
from cloudms.clouds.fake import FakeCloud
from cloudms.context import Context
from cloudms.errors import Invalid, NotFound
from tests.unit.verbs.conftest import Call, events, outcome
from tests.unit.verbs.test_lists import fake


@pytest.fixture
def disks(call: Call) -> None:
    """Make three volumes, two of which have a label in common."""
    call("volume create", "data1", label={"tier": "front", "use": "db"})
    call("volume create", "data2", label={"tier": "front"}, cloud="two")
    call("volume create", "data3")


@pytest.mark.parametrize(
    ("words", "args", "option"),
    [
        ("vm boot", (), "label"),
        ("vm label", (["web"],), "set"),
        ("vm clone", ("web",), "label"),
        ("key create", ("work",), "label"),
        ("key label", (["cloudms"],), "set"),
        ("vm snapshot create", ("web", "s2"), "label"),
        ("vm snapshot label", ("web", ["s1"]), "set"),
        ("image build", ("micro",), "label"),
        ("image pull", ("debian-12",), "label"),
        ("image label", (["micro"],), "set"),
        ("volume create", ("data",), "label"),
        ("volume label", (["data1"],), "set"),
    ],
)
@pytest.mark.usefixtures("disks")
def test_a_label_that_cannot_be_is_refused_before_anything_is_planned(
    ctx: Context, call: Call, words: str, args: tuple[object, ...], option: str
) -> None:
    call("vm boot", name="web")
    call("vm snapshot create", "web", "s1")
    before = len(ctx.catalog.find("operation"))
    with pytest.raises(Invalid, match="key of a label"):
        call(words, *args, **{option: {"no good": "x"}})
    with pytest.raises(Invalid, match="cannot have the value"):
        call(words, *args, **{option: {"note": "two\nlines"}})
    assert len(ctx.catalog.find("operation")) == before


def test_vms_are_labelled_by_the_labels_they_have(ctx: Context, call: Call) -> None:
    call("vm boot", name="web", count=2, label={"tier": "front"})
    call("vm boot", name="db", label={"tier": "back"})
    call("vm label", label={"tier": "front"}, set={"color": "red"}, remove=["tier"])
    assert {v.name: dict(v.labels) for v in call("vm list").items} == {
        "db": {"tier": "back"}, "web-1": {"color": "red"}, "web-2": {"color": "red"},
    }  # fmt: skip
    assert [v.name for v in call("vm status", label={"tier": "back"}).items] == ["db"]
    with pytest.raises(Invalid, match="nothing to change"):
        call("vm label", ["db"])
    call("vm label", ["db"], group="g")
    assert call("vm info", "db").group == "g"
    assert fake(ctx, "one").calls("tag_vm")


def test_names_that_are_gone_never_let_a_label_choose_others(call: Call) -> None:
    call("vm boot", name="web", label={"tier": "front"})
    assert call("vm delete", ["gone"], label={"tier": "front"}, missing_ok=True).steps == ()
    assert call("vm delete", label={"tier": "none"}, missing_ok=True).steps == ()
    assert [v.name for v in call("vm list").items] == ["web"]
    with pytest.raises(Invalid, match="no VM was named"):
        call("vm delete", missing_ok=True)


def test_a_clone_has_the_labels_of_both(call: Call) -> None:
    call("vm boot", name="web", label={"tier": "front", "use": "a"})
    call("vm clone", "web", name="twin", label={"use": "b"})
    assert call("vm info", "twin").labels == {"tier": "front", "use": "b"}
    assert call("vm info", "web").labels == {"tier": "front", "use": "a"}


@pytest.mark.usefixtures("disks")
def test_volumes_are_labelled_on_their_cloud(ctx: Context, call: Call) -> None:
    changed = outcome(call("volume label", ["data1"], set={"use": "files", "new": ""}, remove=["tier", "none"]))
    assert changed["labels"] == {"use": "files", "new": ""}
    assert [dict(v.labels) for v in fake(ctx, "one").list_volumes()] == [{"use": "files", "new": ""}, {}]
    assert [v.name for v in call("volume list", label={"use": "files"}, refresh=True).items] == ["data1"]
    assert events(ctx)[-1] == "volume.label data1: labelled"
    with pytest.raises(Invalid, match="nothing to change"):
        call("volume label", ["data1"])


@pytest.mark.usefixtures("disks")
def test_volumes_are_chosen_by_labels_names_or_both(call: Call) -> None:
    def chosen(words: str, *args: object, **options: object) -> list[str]:
        return [step.target for step in call(words, *args, dry_run=True, **options).steps]

    assert chosen("volume delete", label={"tier": "front"}) == ["data1", "data2"]
    assert chosen("volume detach", label={"tier": "front", "use": "db"}) == ["data1"]
    assert chosen("volume detach", ["data[2-3]"], label={"tier": "front"}) == ["data2"]
    assert chosen("volume label", label={"tier": "front"}, set={"a": "b"}, cloud="two") == ["data2"]
    assert chosen("volume delete", ["data1", "data[1-2]"]) == ["data1", "data2"]
    assert chosen("volume delete", ["nothing"], label={"tier": "front"}, missing_ok=True) == []
    assert chosen("volume delete", label={"tier": "none"}, missing_ok=True) == []
    with pytest.raises(NotFound, match="no volume has the labels tier=none") as caught:
        chosen("volume detach", label={"tier": "none"})
    assert caught.value.hint.startswith("cms volume list --label")
    for words in ("volume delete", "volume detach"):
        with pytest.raises(Invalid, match="no volume was named"):
            chosen(words)


def test_keys_keep_their_labels_in_the_catalog(ctx: Context, call: Call) -> None:
    call("key create", "work", label={"use": "lab"}, cloud="one")
    file = paths.keys() / "work.pub"
    call("key add", "twin", file, label={"use": "lab", "since": "1"})
    call("key add", "twin", file, label={"since": "2"})  # again: what is new is added
    assert call("key list", label={"use": "lab", "since": "2"}).items[0].name == "twin"
    assert outcome(call("key label", ["work"], set={"use": "home"}, remove=["none"]))["labels"] == {"use": "home"}
    both = call("key list", cloud="one", refresh=True).items
    assert [(k.name, k.cloud, dict(k.labels)) for k in both] == [
        ("twin", "", {"use": "lab", "since": "2"}), ("work", "", {"use": "home"}), ("work", "one", {"use": "lab"}),
    ]  # fmt: skip
    call("key label", cloud="one", label={"use": "lab"}, remove=["use"])
    assert [k.cloud for k in call("key list", cloud="one", label={"use": "lab"}, refresh=True).items] == [""]
    assert events(ctx)[-1] == "key.label work: labelled"
    with pytest.raises(NotFound, match="'wrok'"):
        call("key label", ["wrok"], set={"a": "b"})


def test_keys_are_deleted_by_label(call: Call) -> None:
    for name in ("a1", "a2", "b1"):
        call("key create", name, label={"use": name[0]}, cloud="one")
    with pytest.raises(Invalid, match="no key was named"):
        call("key delete")
    plan = call("key delete", label={"use": "a"}, dry_run=True)
    assert plan.question == "Delete the keys a[1-2] with the private half, for good?"
    call("key delete", label={"use": "a"})
    assert [k.name for k in call("key list").items] == ["b1"]
    assert not list(paths.keys().glob("a*"))
    call("key delete", ["a[1-2]", "b1"], cloud="one", label={"use": "a"})
    assert [(k.name, k.cloud) for k in call("key list", cloud="one", refresh=True).items] == [("b1", ""), ("b1", "one")]


def test_images_of_the_store_have_labels_that_stay(ctx: Context, call: Call, disk: Path) -> None:
    call("image add", disk, name="mine", label={"use": "test"})
    call("image add", disk, name="other")
    assert [i.name for i in call("image list", label={"use": "test"}).items] == ["mine"]
    done = outcome(call("image label", ["mine"], set={"tier": "1"}, remove=["none"]))
    assert done["labels"] == {"use": "test", "tier": "1"}
    call("image add", disk, name="mine", force=True, label={"tier": "2"})
    shown = call("image info", "mine")
    assert (shown["labels"], shown["store"]["labels"]) == ({"use": "test", "tier": "2"},) * 2
    assert events(ctx)[1] == "image.add other: taken in from " + str(disk)
    assert events(ctx)[2] == "image.label mine: labelled"
    call("image label", label={"use": "test"}, remove=["use", "tier"])
    assert call("image info", "mine")["labels"] == {}
    with pytest.raises(NotFound, match="no image 'micro' on this machine"):
        call("image label", ["micro"], set={"a": "b"})


def test_a_cloud_of_this_machine_shows_the_labels_of_the_store(
    ctx: Context, call: Call, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeCloud, "simulated", False)  # so that the fake ones take their images from the store
    call("image add", disk, name="micro", label={"use": "test"})
    found = call("image list", label={"use": "test"}, limit=5).items
    assert [(i.name, i.cloud) for i in found] == [("micro", "one"), ("micro", "two")]
    assert call("image list", label={"use": "test"}, limit=1).items == found[:1]
    assert call("image info", "micro", cloud="two")["labels"] == {"use": "test"}


def test_images_are_deleted_by_label(call: Call, disk: Path) -> None:
    for name in ("i1", "i2", "i3"):
        call("image add", disk, name=name, label={"use": "test" if name != "i2" else "work"})
    plan = call("image delete", label={"use": "test"}, dry_run=True)
    assert plan.question == "Delete the image i1 from this machine, the image i3 from this machine for good?"
    call("image delete", ["i[1-2]"], label={"use": "test"})
    assert [i.name for i in call("image list").items if not i.cloud] == ["i2", "i3"]
    with pytest.raises(NotFound, match="no image has the labels use=none"):
        call("image delete", label={"use": "none"})
    with pytest.raises(Invalid, match="no image was named"):
        call("image delete")


def test_snapshots_keep_their_labels_in_the_catalog(ctx: Context, call: Call) -> None:
    call("vm boot", name="web", count=2)
    made = outcome(call("vm snapshot create", "web-1", label={"use": "test"}))
    call("vm snapshot create", "web-1", label={"use": "work"})
    call("vm snapshot create", "web-2", label={"use": "test"})
    assert (made["name"], made["labels"]) == ("snap-1", {"use": "test"})
    for refresh in (False, True):
        found = call("vm snapshot list", label={"use": "test"}, refresh=refresh, cached=not refresh).items
        assert sorted((s.name, s.vm) for s in found) == [("snap-1", "web-1"), ("snap-1", "web-2")]
    assert [s.vm for s in call("vm snapshot list", "web-2", label={"use": "test"}).items] == ["web-2"]
    assert outcome(call("vm snapshot label", "web-1", ["snap-2"], set={"a": "b"}))["labels"] == {
        "use": "work",
        "a": "b",
    }
    call("vm snapshot label", "web-1", label={"a": "b"}, remove=["a", "use"])
    assert [dict(s.labels) for s in call("vm snapshot list", "web-1", refresh=True).items] == [{"use": "test"}, {}]
    assert events(ctx)[-1] == "vm.snapshot.label web-1: snap-2 labelled"


def test_a_snapshot_that_no_list_has_shown_can_be_labelled(ctx: Context, call: Call) -> None:
    call("vm boot", name="web")
    fake(ctx, "one").create_snapshot(call("vm info", "web"), "made elsewhere")
    call("vm snapshot label", "web", ["made elsewhere"], set={"a": "b"})
    assert [(s.name, s.labels) for s in call("vm snapshot list").items] == [("made elsewhere", {"a": "b"})]


def test_snapshots_are_deleted_by_name_list_or_label(call: Call) -> None:
    call("vm boot", name="web")
    for number in range(1, 5):
        call("vm snapshot create", "web", label={"even": str(number % 2 == 0)})
    plan = call("vm snapshot delete", "web", label={"even": "True"}, dry_run=True)
    assert (plan.question, len(plan.steps)) == ("Forget snap-[2,4] of web?", 2)
    call("vm snapshot delete", "web", label={"even": "True"})
    call("vm snapshot delete", "web", ["snap-[3,1]"])
    assert call("vm snapshot list").items == ()
    with pytest.raises(NotFound):
        call("vm snapshot delete", "web", ["snap-1"])
    with pytest.raises(NotFound, match="no vm snapshot has the labels a=b"):
        call("vm snapshot delete", "web", label={"a": "b"})
    with pytest.raises(Invalid, match="no vm snapshot was named"):
        call("vm snapshot delete", "web")
