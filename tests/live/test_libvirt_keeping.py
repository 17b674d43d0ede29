"""What is on a libvirt volume is what a snapshot keeps, and copies that were cut off are no snapshots."""

from __future__ import annotations

import json
import secrets
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from cloudms.clouds.libvirt.driver import LibvirtCloud
from cloudms.clouds.libvirt.keeping import SNAPSHOT
from cloudms.errors import Conflict, Exists, Invalid, NotFound, NotReady
from cloudms.model import Volume
from tests.live.test_libvirt_driver import cloud, key, micro, opened, pool_folder, spec

__all__ = ["cloud", "key", "micro", "opened", "pool_folder"]  # fixtures

pytestmark = pytest.mark.live


def token() -> str:
    return "feed" + secrets.token_hex(10)


def volume(cloud: LibvirtCloud, name: str = "data") -> Volume:
    return cloud.create_volume(name, 1, token(), {"a": "b"})


def io(volume: Volume, *commands: str) -> str:
    """Read or write what is on a volume, as its guest would."""
    done = subprocess.run(
        ["qemu-io", *(word for command in commands for word in ("-c", command)), volume.raw["path"]],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout


def test_a_snapshot_holds_what_was_there_and_volumes_of_it_go_their_own_way(cloud: LibvirtCloud) -> None:
    data = volume(cloud)
    io(data, "write -P 0x5a 0 64k")
    kept = cloud.create_volume_snapshot(data, "before", token())
    io(data, "write -P 0x77 0 64k")
    made = cloud.restore_volume(kept, "again", token(), {})
    assert "Pattern verification failed" not in io(made, "read -P 0x5a 0 64k")
    io(made, "write -P 0x11 0 64k")
    second = cloud.restore_volume(kept, "third", token(), {})
    assert "Pattern verification failed" not in io(second, "read -P 0x5a 0 64k")
    assert "Pattern verification failed" not in io(data, "read -P 0x77 0 64k")
    assert Path(second.raw["path"]).stat().st_mode & 0o077 == 0
    cloud.delete_volume(data)
    assert [row.name for row in cloud.list_volume_snapshots()] == ["before"]
    for each in (made, second):
        cloud.delete_volume(each)
    cloud.delete_volume_snapshot(kept)
    assert [entry.name for entry in cloud.pool.entries() if "vol" in entry.name] == []


def test_a_volume_that_grows_keeps_what_is_on_it(cloud: LibvirtCloud) -> None:
    data = volume(cloud)
    io(data, "write -P 0x5a 0 64k")
    grown = cloud.resize_volume(data, 3)
    assert "Pattern verification failed" not in io(grown, "read -P 0x5a 0 64k", "write 2G 64k")
    assert (grown.size_gib, dict(grown.labels)) == (3, {"a": "b"})
    with pytest.raises(Invalid, match="cannot shrink"):
        cloud.resize_volume(grown, 2)
    cloud.delete_volume(grown)


def test_a_copy_that_was_cut_off_is_no_snapshot_and_is_swept_or_made_whole(cloud: LibvirtCloud) -> None:
    data, mark = volume(cloud), token()
    kept = cloud.create_volume_snapshot(data, "before", mark)
    cloud.pool.delete(kept.id.replace(".qcow2", ".json"))  # a kill before the record was written
    assert list(cloud.list_volume_snapshots()) == []
    assert [each for each in cloud.leftovers(frozenset((mark,))) if each.token == mark] == []
    assert cloud.create_volume_snapshot(data, "before", mark).id == kept.id
    assert [each for each in cloud.leftovers(frozenset()) if each.token == mark] == []
    cloud.pool.delete(kept.id.replace(".qcow2", ".json"))
    (left,) = [each for each in cloud.leftovers(frozenset()) if each.token == mark]
    assert "cut off" in left.reason
    cloud.clean(left)
    assert not [entry for entry in cloud.pool.entries() if SNAPSHOT.fullmatch(entry.name)]
    cloud.delete_volume(data)


def test_a_volume_that_is_being_copied_says_so_until_it_is_whole(
    cloud: LibvirtCloud, opened: Callable[..., LibvirtCloud], key: Path
) -> None:
    data, mark = volume(cloud), token()
    io(data, "write -P 0x5a 0 64k")
    kept = cloud.create_volume_snapshot(data, "before", token())
    made = cloud.restore_volume(kept, "again", mark, {"x": "y"})
    record = made.id.replace(".qcow2", ".json")
    known = json.loads(cloud.pool.get(record))
    cloud.pool.put(record, json.dumps({**known, "copying": True}).encode())  # a kill in the middle of the copy
    io(made, "write -P 0x00 0 64k")
    assert [row.state for row in cloud.list_volumes() if row.name == "again"] == ["creating"]
    vm = cloud.create_vm(spec(key))
    with pytest.raises(NotReady, match="being copied"):
        cloud.attach_volume(made, vm)
    again = opened().restore_volume(kept, "again", mark, {"x": "y"})
    assert (again.id, again.state, dict(again.labels)) == (made.id, "available", {"x": "y"})
    assert "Pattern verification failed" not in io(again, "read -P 0x5a 0 64k")
    attached = cloud.attach_volume(again, vm)
    for call in (lambda: cloud.create_volume_snapshot(attached, "hot", token()), lambda: cloud.delete_volume(attached)):
        with pytest.raises((NotReady, Conflict), match=r"runs with the volume|is attached"):
            call()
    cloud.stop_vm(vm, force=True)
    off = cloud.create_volume_snapshot(attached, "cold", token())
    assert off.volume == "again"
    cloud.delete_vm(vm)
    for each in (again, data):
        cloud.delete_volume(each)
    for shot in (kept, off):
        cloud.delete_volume_snapshot(shot)


def test_what_cannot_be_kept_or_restored(cloud: LibvirtCloud) -> None:
    data = volume(cloud)
    kept = cloud.create_volume_snapshot(data, "before", token())
    with pytest.raises(Exists):
        cloud.create_volume_snapshot(data, "before", token())
    for wrong in ("../x", "", "a b"):
        with pytest.raises(Invalid):
            cloud.create_volume_snapshot(data, wrong, token())
        with pytest.raises(Invalid):
            cloud.restore_volume(kept, wrong, token(), {})
    with pytest.raises(Invalid, match="not where this libvirt is"):
        cloud.restore_volume(kept, "there", token(), {}, region="elsewhere")
    for ident in ("cms-volsnap-none.feedfeed.qcow2", "/etc/passwd", ""):
        with pytest.raises(NotFound):
            cloud.restore_volume(kept.with_(id=ident), "none", token(), {})
        cloud.delete_volume_snapshot(kept.with_(id=ident))
    assert [row.id for row in cloud.list_volume_snapshots()] == [kept.id]
    cloud.delete_volume_snapshot(kept)
    cloud.delete_volume(data)
