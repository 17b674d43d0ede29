"""Volumes and their snapshots: made once, grown, kept, made anew, deleted."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from cloud_subjects import OWNER, Bench, ghost, needs

from cloudms.clouds.base import ResizeVolume, Volumes, VolumeSnapshots
from cloudms.errors import Conflict, Exists, Invalid, NotFound, NotReady
from cloudms.model import VmState, Volume, VolumeSnapshot


@contextmanager
def volume_of(cloud: Any, **labels: str) -> Iterator[Volume]:
    """Make a volume of 1 GiB for a while."""
    token = uuid.uuid4().hex
    volume = cloud.create_volume(f"cms-contract-{token[:8]}", 1, token, labels)
    yield volume
    cloud.detach_volume(volume)
    cloud.delete_volume(volume)


def keep(bench: Bench, volume: Volume, name: str = "", token: str = "") -> VolumeSnapshot:
    """Return a snapshot of a volume when its cloud has written all of it."""
    token = token or uuid.uuid4().hex
    cloud: Any = bench.cloud
    kept: VolumeSnapshot = cloud.create_volume_snapshot(volume, name or f"cms-contract-{token[:8]}", token)
    bench.eventually(lambda: listed(bench, kept).state in ("available", "completed"), f"{kept.name} is written")
    return kept


def outlived(cloud: Any, volume: Volume) -> bool:
    """Delete a volume and tell whether that was possible: some clouds hold it for its snapshots."""
    try:
        cloud.delete_volume(volume)
    except Conflict as error:
        assert error.hint
        return False
    return True


def listed(bench: Bench, kept: VolumeSnapshot) -> VolumeSnapshot:
    """Return a snapshot as a list shows it."""
    (row,) = [row for row in bench.open().list_volume_snapshots() if row.id == kept.id]  # type: ignore[attr-defined]
    return row  # type: ignore[no-any-return]


@needs(Volumes)
def test_a_volume_is_made_once_attached_detached_and_deleted(bench: Bench, cloud: Any) -> None:
    vm, token = bench.booted(), uuid.uuid4().hex
    name = f"cms-contract-{token[:8]}"
    volume = cloud.create_volume(name, 1, token, {"use": "test"})
    assert (volume.name, volume.size_gib, volume.cloud) == (name, 1, "bench")
    assert cloud.create_volume(name, 1, token, {}).id == volume.id
    (row,) = [row for row in bench.open().list_volumes() if row.id == volume.id]
    assert (row.name, row.token, dict(row.labels), row.vm) == (name, token, {"use": "test"}, "")
    attached = cloud.attach_volume(volume, vm)
    assert attached.vm == vm.name
    assert attached.device
    assert cloud.attach_volume(volume, vm).device == attached.device
    with pytest.raises(Conflict):
        cloud.delete_volume(volume)
    assert cloud.detach_volume(volume).vm == ""
    assert cloud.detach_volume(volume).vm == ""
    cloud.delete_volume(volume)
    cloud.delete_volume(volume)
    assert volume.id not in [row.id for row in cloud.list_volumes()]


@needs(Volumes)
def test_a_volume_outlives_its_vm_and_is_attached_to_one(bench: Bench, cloud: Any) -> None:
    vm, other = bench.running(), bench.create()
    bench.wait(other, VmState.RUNNING)
    token = uuid.uuid4().hex
    volume = cloud.create_volume(f"cms-contract-{token[:8]}", 1, token, {})
    cloud.attach_volume(volume, other)
    with pytest.raises(Conflict):
        cloud.attach_volume(volume, vm)
    bench.delete(other)
    (row,) = [row for row in cloud.list_volumes() if row.id == volume.id]
    assert row.vm == ""
    cloud.delete_volume(volume)


@needs(Volumes)
def test_the_labels_of_a_volume_are_replaced_as_a_whole(bench: Bench, cloud: Any) -> None:
    token = uuid.uuid4().hex
    volume = cloud.create_volume(f"cms-contract-{token[:8]}", 1, token, {"use": "test", "tier": "1"})
    wanted = volume.with_(labels={"use": "real", "größe": "a = <b> & 'c'"})
    for _ in range(2):
        assert cloud.tag_volume(wanted).labels == wanted.labels
    (row,) = [row for row in bench.open().list_volumes() if row.id == volume.id]
    assert row.labels == wanted.labels
    for name in ("name", "token", "owner", "created", "size_gib", "vm"):
        assert getattr(row, name) == getattr(volume, name), name
    assert cloud.tag_volume(volume.with_(labels={})).labels == {}
    cloud.delete_volume(volume)
    with pytest.raises(NotFound):
        cloud.tag_volume(wanted)


@needs(Volumes)
def test_volumes_that_cannot_be(bench: Bench, cloud: Any) -> None:
    token, vm = uuid.uuid4().hex, bench.running()
    volume = cloud.create_volume(f"cms-contract-{token[:8]}", 1, token, {})
    with pytest.raises(Exists):
        cloud.create_volume(volume.name, 1, uuid.uuid4().hex, {})
    with pytest.raises(NotFound):
        cloud.attach_volume(volume, ghost())
    with pytest.raises(NotFound):
        cloud.attach_volume(Volume(name="none", id="no-such-volume"), vm)
    cloud.delete_volume(volume)


@needs(Volumes, ResizeVolume)
def test_a_volume_grows_and_never_shrinks(bench: Bench, cloud: Any) -> None:
    with volume_of(cloud, use="test") as volume:
        grown = cloud.resize_volume(volume, 2)
        assert (grown.size_gib, grown.id, grown.name, dict(grown.labels)) == (
            2,
            volume.id,
            volume.name,
            {"use": "test"},
        )
        assert cloud.resize_volume(volume, 2).size_gib == 2
        with pytest.raises(Invalid):
            cloud.resize_volume(grown, 1)
        (row,) = [row for row in bench.open().list_volumes() if row.id == volume.id]
        assert (row.size_gib, row.token, row.vm) == (2, volume.token, "")
    with pytest.raises(NotFound):
        cloud.resize_volume(grown, 3)


@needs(Volumes, ResizeVolume)
def test_an_attached_volume_grows_at_once_or_says_that_it_must_be_detached(bench: Bench, cloud: Any) -> None:
    vm = bench.booted()
    with volume_of(cloud) as volume:
        attached = cloud.attach_volume(volume, vm)
        try:
            grown = cloud.resize_volume(attached, 2)
        except NotReady as error:
            assert error.hint
            assert [row.size_gib for row in cloud.list_volumes() if row.id == volume.id] == [1]
        else:
            assert (grown.size_gib, grown.vm, grown.device) == (2, vm.name, attached.device)


@needs(Volumes, VolumeSnapshots)
def test_what_is_on_a_volume_is_kept_once_and_outlives_it(bench: Bench, cloud: Any) -> None:
    token = uuid.uuid4().hex
    name = f"cms-contract-{token[:8]}"
    volume = cloud.create_volume(name, 1, uuid.uuid4().hex, {})
    kept = keep(bench, volume, name, token)
    assert (kept.name, kept.volume, kept.size_gib, kept.cloud) == (name, volume.name, 1, "bench")
    assert cloud.create_volume_snapshot(volume, name, token).id == kept.id
    with pytest.raises(Exists):
        cloud.create_volume_snapshot(volume, name, uuid.uuid4().hex)
    alone = outlived(cloud, volume)
    row = listed(bench, kept)
    assert (row.name, row.token, row.owner, row.volume) == (name, token, OWNER, volume.name)
    assert row.created == pytest.approx(bench.clock.now(), abs=bench.subject.patience)
    for _ in range(2):
        cloud.delete_volume_snapshot(kept)
    assert kept.id not in [each.id for each in cloud.list_volume_snapshots()]
    assert outlived(cloud, volume) or alone
    with pytest.raises((NotFound, NotReady)):  # it was made a moment ago, and may not be listed yet
        cloud.create_volume_snapshot(volume, f"{name}-2", uuid.uuid4().hex)


@needs(Volumes, VolumeSnapshots)
def test_volumes_are_made_of_what_was_kept(bench: Bench, cloud: Any) -> None:
    token = uuid.uuid4().hex
    name = f"cms-contract-{token[:8]}"
    volume = cloud.create_volume(f"{name}-0", 1, uuid.uuid4().hex, {})
    kept = keep(bench, volume)
    outlived(cloud, volume)
    made = cloud.restore_volume(kept, name, token, {"use": "test"})
    assert (made.name, made.size_gib, made.token, dict(made.labels)) == (name, 1, token, {"use": "test"})
    assert cloud.restore_volume(kept, name, token, {}).id == made.id
    with pytest.raises(Exists):
        cloud.restore_volume(kept, name, uuid.uuid4().hex, {})
    (row,) = [row for row in bench.open().list_volumes() if row.id == made.id]
    assert (row.name, row.token, row.owner, row.vm) == (name, token, OWNER, "")
    attached = cloud.attach_volume(row, bench.booted())
    assert attached.device
    cloud.detach_volume(attached)
    cloud.delete_volume(made)
    cloud.delete_volume_snapshot(kept)
    cloud.delete_volume(volume)
    with pytest.raises(NotFound):
        cloud.restore_volume(kept, f"{name}-2", uuid.uuid4().hex, {})


@needs(Volumes, VolumeSnapshots)
def test_snapshots_of_volumes_are_no_leftovers_while_somebody_owns_them(bench: Bench, cloud: Any) -> None:
    with volume_of(cloud) as volume:
        kept = keep(bench, volume)
        owned = frozenset((kept.token,))
        assert kept.token not in {each.token for each in cloud.leftovers(owned)}
        cloud.delete_volume_snapshot(kept)
        assert kept.token not in {each.token for each in cloud.leftovers(frozenset())}
