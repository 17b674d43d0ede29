"""The roles around a VM: size, name, disk, snapshots, console, labels, care, addresses, keys, volumes, measures."""

from __future__ import annotations

import uuid
from itertools import islice
from typing import Any

import pytest
from cloud_subjects import KEY, OTHER, OTHER_KEY, OWNER, Bench, ghost, needs

from cloudms.clouds.base import (
    Addresses,
    Adopt,
    CloneVm,
    ConfirmResize,
    Console,
    ImageStore,
    Keys,
    Locations,
    Metadata,
    Metrics,
    Power,
    Rebuild,
    Rename,
    Resize,
    Snapshots,
    Volumes,
)
from cloudms.errors import Conflict, Exists, Invalid, NotFound
from cloudms.model import Image, Origin, VmState, Volume

RUNNING, STOPPED = VmState.RUNNING, VmState.STOPPED
SETTLED = (RUNNING, STOPPED, VmState.AWAITING_CONFIRM)


@needs(Resize, Power)
def test_resize_gives_another_flavor_at_the_latest_with_the_next_start(bench: Bench, cloud: Any) -> None:
    vm = bench.stopped()
    flavor = bench.other_flavor(vm)
    cloud.resize_vm(vm, flavor)
    vm = bench.wait(vm, *SETTLED)
    if vm.state is VmState.AWAITING_CONFIRM:
        cloud.confirm_vm(vm)
    assert bench.running().flavor == flavor
    assert cloud.resize_vm(vm, flavor).flavor == flavor
    assert bench.wait(vm, *SETTLED).state is RUNNING


@needs(Resize)
def test_resize_refuses_a_flavor_that_is_not_there(bench: Bench, cloud: Any) -> None:
    vm = bench.running()
    with pytest.raises(NotFound):
        cloud.resize_vm(vm, "no-such-flavor")
    assert cloud.get_vm(vm).flavor == vm.flavor


@needs(Resize, Power)
def test_resize_refuses_a_smaller_disk(bench: Bench, cloud: Any) -> None:
    vm = bench.stopped()
    flavors = {flavor.name: flavor for flavor in cloud.list_flavors()}
    for smaller in flavors.values():
        if 0 < smaller.disk_gib < flavors[vm.flavor].disk_gib:
            with pytest.raises(Invalid):
                cloud.resize_vm(vm, smaller.name)
    assert cloud.get_vm(vm).flavor == vm.flavor


@needs(Resize, ConfirmResize)
def test_a_resize_is_reverted_or_confirmed_once(bench: Bench, cloud: Any) -> None:
    vm = bench.running()
    cloud.resize_vm(vm, bench.other_flavor(vm))
    bench.wait(vm, *SETTLED)
    cloud.revert_vm(vm)
    reverted = bench.wait(vm, RUNNING)
    if reverted.flavor == vm.flavor:
        assert cloud.revert_vm(vm).flavor == vm.flavor
    assert cloud.confirm_vm(vm).flavor == reverted.flavor


@needs(Rename, Power)
def test_rename_needs_it_off_and_keeps_everything_else(bench: Bench, cloud: Any) -> None:
    vm = bench.stopped()
    name = f"{vm.name}-renamed"
    assert cloud.rename_vm(vm, name).name == name
    assert cloud.rename_vm(vm, name).name == name
    seen = bench.open().get_vm(vm)
    assert (seen.name, seen.id, seen.token, seen.owner) == (name, vm.id, vm.token, OWNER)
    assert cloud.create_vm(bench.shared_spec).id == vm.id
    assert cloud.rename_vm(vm, vm.name).name == vm.name


@needs(Rename, Power)
def test_rename_to_a_name_that_is_taken(bench: Bench, cloud: Any) -> None:
    other, vm = bench.create(), bench.stopped()
    if bench.subject.unique_names:
        with pytest.raises(Exists):
            cloud.rename_vm(vm, other.name)
        assert cloud.get_vm(vm).name == vm.name
    else:
        assert cloud.rename_vm(vm, other.name).name == other.name
        cloud.rename_vm(vm, vm.name)
    bench.delete(other)


@needs(Rebuild)
def test_rebuild_keeps_name_id_and_addresses(bench: Bench, cloud: Any) -> None:
    vm = bench.running()
    cloud.rebuild_vm(vm, bench.subject.image)
    seen = bench.wait(vm, RUNNING)
    for name in ("id", "name", "token", "owner", "image", "flavor", "private_ips", "public_ips", "labels"):
        assert getattr(seen, name) == getattr(vm, name), name
    with pytest.raises(NotFound):
        cloud.rebuild_vm(vm, "no-such-image")


@needs(CloneVm)
def test_clone_makes_another_vm_once(bench: Bench, cloud: Any) -> None:
    vm, spec = bench.running(), bench.spec()
    copy = bench.keep(cloud.clone_vm(vm, spec))
    assert copy.id != vm.id
    assert (copy.name, copy.token, copy.owner, copy.image) == (spec.name, spec.token, OWNER, vm.image)
    assert cloud.clone_vm(vm, spec).id == copy.id
    copy = bench.wait(copy, RUNNING)
    assert (copy.ssh_host, copy.ssh_port) != (vm.ssh_host, vm.ssh_port)
    assert bench.wait(vm, RUNNING).token == vm.token
    bench.delete(copy)


@needs(Snapshots)
def test_snapshots_are_kept_listed_brought_back_and_forgotten(bench: Bench, cloud: Any) -> None:
    vm = bench.running()
    kept = cloud.create_snapshot(vm, "before")
    assert (kept.name, kept.vm, kept.cloud) == ("before", vm.name, "bench")
    with pytest.raises(Exists):
        cloud.create_snapshot(vm, "before")
    assert [each.name for each in cloud.list_snapshots(vm)] == ["before"]
    assert ("before", vm.name) in [(each.name, each.vm) for each in bench.open().list_snapshots()]
    assert cloud.revert_snapshot(vm, "before").id == vm.id
    bench.wait(vm, RUNNING, STOPPED)
    with pytest.raises(NotFound):
        cloud.revert_snapshot(vm, "no-such-snapshot")
    cloud.delete_snapshot(vm, "before")
    cloud.delete_snapshot(vm, "before")
    assert list(cloud.list_snapshots(vm)) == []


@needs(Snapshots)
def test_snapshots_go_with_their_vm(bench: Bench, cloud: Any) -> None:
    vm = bench.create()
    bench.wait(vm, RUNNING)
    cloud.create_snapshot(vm, "before")
    bench.delete(vm)
    assert vm.name not in [each.vm for each in cloud.list_snapshots()]


@needs(Console)
def test_the_console_tells_what_the_guest_printed(bench: Bench, cloud: Any) -> None:
    vm = bench.running()
    bench.eventually(lambda: cloud.console_log(vm).strip(), "the console shows something")
    assert len(cloud.console_log(vm)) <= 64 << 10
    assert "".join(islice(cloud.follow_console(vm), 1)).strip()


@needs(Metadata)
def test_labels_group_lease_and_protection_survive_a_new_connection(bench: Bench, cloud: Any) -> None:
    vm = bench.running()
    expires = round(bench.clock.now()) + 3600.0
    marked = vm.with_(labels={"role": "web", "tier": "1"}, group="g1", expires=expires, protected=True)
    assert dict(cloud.tag_vm(marked).labels) == {"role": "web", "tier": "1"}
    seen = bench.open().get_vm(vm)
    assert dict(seen.labels) == {"role": "web", "tier": "1"}
    assert (seen.group, seen.protected) == ("g1", True)
    assert seen.expires == pytest.approx(expires, abs=1)
    (row,) = [row for row in bench.open().list_vms() if row.token == vm.token]
    assert (dict(row.labels), row.group) == (dict(seen.labels), "g1")
    cloud.tag_vm(vm.with_(labels={"role": "db"}, group="", expires=None, protected=False))
    seen = bench.open().get_vm(vm)
    assert (dict(seen.labels), seen.group, seen.expires, seen.protected) == ({"role": "db"}, "", None, False)
    assert (seen.token, seen.owner) == (vm.token, OWNER)
    cloud.tag_vm(vm.with_(labels={}))


@needs(Metadata)
def test_labels_can_be_given_at_creation(bench: Bench) -> None:
    vm = bench.create(labels={"role": "web"}, group="g2", expires=bench.clock.now() + 60)
    seen = bench.open().get_vm(vm)
    assert (dict(seen.labels), seen.group) == ({"role": "web"}, "g2")
    assert seen.expires is not None
    bench.delete(vm)


@needs(Adopt)
def test_adopt_takes_a_vm_of_others_into_care(bench: Bench, cloud: Any) -> None:
    theirs = bench.wait(bench.create(owner=OTHER), RUNNING)
    assert theirs.origin is Origin.FOREIGN
    token = uuid.uuid4().hex
    ours = cloud.adopt_vm(theirs.with_(token=token, owner=OWNER))
    assert (ours.id, ours.origin, ours.token, ours.owner) == (theirs.id, Origin.ADOPTED, token, OWNER)
    assert cloud.adopt_vm(ours).origin is Origin.ADOPTED
    seen = bench.open().get_vm(ours)
    assert (seen.origin, seen.token, seen.name) == (Origin.ADOPTED, token, theirs.name)
    assert bench.open().get_vm(seen.with_(id="")).id == theirs.id
    assert bench.open(OTHER).get_vm(theirs).origin is Origin.FOREIGN
    bench.delete(seen)


@needs(Keys)
def test_keys_are_added_once_and_deleted(bench: Bench, cloud: Any) -> None:
    name = f"cms-contract-{uuid.uuid4().hex[:8]}"
    key = cloud.add_key(name, KEY)
    assert (key.name, key.cloud) == (name, "bench")
    assert key.fingerprint
    assert cloud.add_key(name, KEY).fingerprint == key.fingerprint
    with pytest.raises(Exists):
        cloud.add_key(name, OTHER_KEY)
    (row,) = [row for row in bench.open().list_keys() if row.name == name]
    assert row.fingerprint == key.fingerprint
    with pytest.raises(Invalid):
        cloud.add_key(f"{name}-bad", "this is no key")
    cloud.delete_key(name)
    cloud.delete_key(name)
    assert name not in [row.name for row in cloud.list_keys()]


@needs(Locations)
def test_locations_name_where_vms_stand(bench: Bench, cloud: Any) -> None:
    places = list(cloud.list_locations())
    assert places
    assert all(place.name and place.cloud == "bench" for place in places)
    region = bench.vm().region
    assert not region or region in {place.name for place in places} | {place.region for place in places}


@needs(Addresses)
def test_an_address_is_given_listed_and_taken_away(bench: Bench, cloud: Any) -> None:
    vm = bench.running()
    before = set(vm.public_ips)
    seen = cloud.set_address(vm)
    assert seen.public_ips
    address = next(iter([ip for ip in seen.public_ips if ip not in before] or seen.public_ips))
    assert vm.name in {row.vm for row in cloud.list_addresses() if row.name == address}
    assert cloud.set_address(vm, address).public_ips == seen.public_ips
    assert address in bench.open().get_vm(vm).public_ips
    assert address not in cloud.remove_address(vm, address).public_ips
    assert address not in cloud.remove_address(vm, address).public_ips
    assert vm.name not in {row.vm for row in cloud.list_addresses() if row.name == address}
    if before - set(cloud.get_vm(vm).public_ips):
        cloud.set_address(vm, address)


@needs(Addresses)
def test_an_address_leads_to_one_vm(bench: Bench, cloud: Any) -> None:
    vm, other = bench.running(), bench.create()
    bench.wait(other, RUNNING)
    mine = cloud.set_address(vm).public_ips[-1]
    with pytest.raises(Exists):
        cloud.set_address(other, mine)
    assert mine in cloud.get_vm(vm).public_ips
    bench.delete(other)


@needs(Addresses)
@pytest.mark.parametrize("wrong", ["nonsense", "256.1.1.1", "-rf"])
def test_what_is_no_address_is_invalid(bench: Bench, cloud: Any, wrong: str) -> None:
    with pytest.raises(Invalid):
        cloud.set_address(bench.running(), wrong)


@needs(Volumes)
def test_a_volume_is_made_once_attached_detached_and_deleted(bench: Bench, cloud: Any) -> None:
    vm, token = bench.running(), uuid.uuid4().hex
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
    bench.wait(other, RUNNING)
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


@needs(ImageStore)
def test_an_image_cannot_be_deleted_under_a_vm(bench: Bench, cloud: Any) -> None:
    bench.running()
    (image,) = [image for image in cloud.list_images() if image.name == bench.subject.image]
    with pytest.raises(Conflict):
        cloud.delete_image(image)
    cloud.delete_image(Image(name="none", id="no-such-image"))


@needs(Metrics)
def test_metrics_are_numbers_that_grow_with_use(bench: Bench, cloud: Any) -> None:
    vm = bench.running()
    first = cloud.metrics([vm, ghost()])
    assert list(first) == [vm.key]
    assert all(isinstance(value, float | int) and value >= 0 for value in first[vm.key].values())
    assert {"cpu_seconds", "memory_mib"} <= set(first[vm.key])
    bench.eventually(
        lambda: cloud.metrics([vm])[vm.key]["cpu_seconds"] > first[vm.key]["cpu_seconds"], "the VM uses its CPU"
    )
    assert cloud.metrics([]) == {}
