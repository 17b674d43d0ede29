"""The roles around a VM: size, name, disk, snapshots, console, labels, care, addresses, keys, measures."""

from __future__ import annotations

import uuid
from itertools import islice
from typing import Any

import pytest
from cloud_subjects import KEY, OTHER, OTHER_KEY, OWNER, Bench, ghost, needs

from cloudms.clock import ManualClock
from cloudms.clouds.base import (
    Addresses,
    Adopt,
    Batch,
    CloneVm,
    ConfirmResize,
    Console,
    DeleteImages,
    ImagePages,
    ImageStore,
    Keys,
    Locations,
    Metadata,
    Metrics,
    MetricsHistory,
    Power,
    Prices,
    Quotas,
    Rebuild,
    Rename,
    Resize,
    Snapshots,
)
from cloudms.errors import Conflict, Exists, Invalid, NotFound, NotReady
from cloudms.model import Image, Origin, VmSpec, VmState

RUNNING, STOPPED = VmState.RUNNING, VmState.STOPPED
SETTLED = (RUNNING, STOPPED, VmState.AWAITING_CONFIRM)


def batch(bench: Bench, count: int, **more: Any) -> list[VmSpec]:
    """Return the request for a batch."""
    first = bench.spec(**more)
    return [first.with_(name=f"{first.name}-{n}", token=f"{first.token}.{n}") for n in range(1, count + 1)]


@needs(Batch)
def test_a_batch_is_made_once_in_its_order(bench: Bench, cloud: Any) -> None:
    """The reply to the first request may have been lost: the second comes from a connection that knows nothing."""
    specs, said = batch(bench, 3, labels={"tier": "front"}), list[str]()
    made = [bench.keep(vm) for vm in cloud.create_vms(specs, said.append)]
    assert [(vm.name, vm.token) for vm in made] == [(spec.name, spec.token) for spec in specs]
    assert len({vm.id for vm in made}) == 3
    assert {(vm.owner, vm.origin, dict(vm.labels)["tier"]) for vm in made} == {(OWNER, Origin.OWN, "front")}
    assert said
    again = bench.open().create_vms(specs)  # type: ignore[attr-defined]
    assert [vm.id for vm in again] == [vm.id for vm in made]
    tokens = {spec.token for spec in specs}
    assert sorted(vm.name for vm in bench.open().list_vms() if vm.token in tokens) == [spec.name for spec in specs]
    for vm in made:
        bench.delete(vm)


@needs(Batch)
def test_vms_of_a_batch_are_told_by_id_and_by_token(bench: Bench, cloud: Any) -> None:
    made = [bench.keep(vm) for vm in cloud.create_vms(batch(bench, 2))]
    assert {key: vm.id for key, vm in cloud.get_vms(made).items()} == {vm.token: vm.id for vm in made}
    asked = [vm.with_(id="") for vm in made]
    assert {key: vm.id for key, vm in bench.open().get_vms(asked).items()} == {vm.token: vm.id for vm in made}  # type: ignore[attr-defined]
    assert bench.cloud.get_vm(asked[1]).id == made[1].id
    assert cloud.get_vms([ghost(), made[0]]).keys() == {made[0].token}
    assert cloud.get_vms([ghost()]) == {}
    for vm in made:
        bench.delete(vm)


@needs(Batch)
def test_what_was_deleted_from_a_batch_is_not_made_again(bench: Bench, cloud: Any) -> None:
    specs = batch(bench, 3)
    made = [bench.keep(vm) for vm in cloud.create_vms(specs)]
    bench.delete(made[1])
    again = bench.open().create_vms(specs)  # type: ignore[attr-defined]
    assert [vm.id for vm in again if vm.state is not VmState.TERMINATED] == [made[0].id, made[2].id]
    assert bench.gone(made[1])
    for vm in (made[0], made[2]):
        bench.delete(vm)


@needs(Batch)
@pytest.mark.parametrize("wrong", [{"image": "no-such-image"}, {"flavor": "no-such-flavor"}])
def test_a_batch_that_cannot_be_is_not_made_at_all(bench: Bench, cloud: Any, wrong: dict[str, str]) -> None:
    specs = batch(bench, 2, **wrong)
    with pytest.raises(NotFound):
        cloud.create_vms(specs)
    tokens = {spec.token for spec in specs}
    assert not [vm for vm in cloud.list_vms() if vm.token in tokens]
    assert not [left for left in cloud.leftovers(frozenset()) if left.token in tokens]


@needs(Batch)
def test_names_of_a_batch_are_taken_once(bench: Bench, cloud: Any) -> None:
    vm = bench.vm()
    if not bench.subject.unique_names:
        return
    first, second = batch(bench, 2)
    with pytest.raises(Exists):
        cloud.create_vms([first, second.with_(name=vm.name)])
    assert first.name not in {row.name for row in cloud.list_vms()}


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
    flavor = bench.other_flavor(vm)
    cloud.resize_vm(vm, flavor)
    if bench.wait(vm, *SETTLED).state is VmState.AWAITING_CONFIRM:
        assert cloud.resize_vm(vm, flavor).flavor == flavor
        cloud.revert_vm(vm)
        assert bench.wait(vm, RUNNING).flavor == vm.flavor
        cloud.resize_vm(vm, flavor)
        bench.wait(vm, VmState.AWAITING_CONFIRM)
        cloud.confirm_vm(vm)
        bench.wait(vm, RUNNING)
    for _ in range(2):
        with pytest.raises(NotReady):
            cloud.revert_vm(vm)
        assert cloud.confirm_vm(vm).flavor == flavor


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


@needs(Locations)
def test_a_place_that_is_not_there_is_not_found_and_nothing_is_made(bench: Bench, cloud: Any) -> None:
    spec = bench.spec(region="no-such-place")
    with pytest.raises(NotFound):
        cloud.create_vm(spec)
    assert spec.token not in {vm.token for vm in cloud.list_vms()}


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


@needs(ImagePages)
def test_a_walk_brings_the_images_that_are_listed(cloud: Any) -> None:
    found: set[str] = set()
    for query in cloud.image_queries():
        batches = list(cloud.walk_images(query))
        assert [batch.last for batch in batches] == [False] * (len(batches) - 1) + [True]
        found |= {image.id for batch in batches for image in batch.images}
    assert found == {image.id for image in cloud.list_images()}
    assert found


@needs(ImagePages)
def test_a_walk_goes_on_with_what_is_left(cloud: Any) -> None:
    for query in cloud.image_queries():
        first: set[str] = set()
        for batch in cloud.walk_images(query, many=True):
            first |= {image.id for image in batch.images}
            if batch.left and batch.left["parts"]:
                break
        rest = cloud.walk_images(query, batch.left if not batch.last else None)
        every = {image.id for part in cloud.walk_images(query) for image in part.images}
        assert first | {image.id for part in rest for image in part.images} == every


@needs(ImageStore)
def test_an_image_is_brought_to_the_cloud_by_the_first_vm_of_it(bench: Bench, cloud: Any) -> None:
    bench.running()
    (image,) = [image for image in bench.open().list_images() if image.name == bench.subject.image]
    assert image.state in ("staged", "ready")


@needs(DeleteImages)
def test_an_image_cannot_be_deleted_under_a_vm(bench: Bench, cloud: Any) -> None:
    vm = bench.wait(bench.create(), VmState.RUNNING)  # the shared one may stand on a snapshot that was brought back
    named = [image for image in cloud.list_images() if image.name == bench.subject.image]
    (image,) = [image for image in named if vm.region.startswith(image.region)]
    with pytest.raises(Conflict):
        cloud.delete_image(image)
    assert image.id in {each.id for each in cloud.list_images()}
    cloud.delete_image(Image(name="none", id="no-such-image"))
    bench.delete(vm)


@needs(Metrics)
def test_metrics_are_numbers_that_grow_with_use(bench: Bench, cloud: Any) -> None:
    vm = bench.running()
    bench.eventually(lambda: vm.key in cloud.metrics([vm]), "the VM was measured")
    first = cloud.metrics([vm, ghost()])
    assert list(first) == [vm.key]
    assert all(isinstance(value, float | int) and value >= 0 for value in first[vm.key].values())
    assert cloud.metrics([]) == {}
    assert {"cpu_seconds", "memory_mib"} <= set(first[vm.key]) or "cpu_percent" in first[vm.key]
    if "cpu_seconds" in first[vm.key]:
        bench.eventually(
            lambda: cloud.metrics([vm])[vm.key]["cpu_seconds"] > first[vm.key]["cpu_seconds"], "the VM uses its CPU"
        )


@needs(MetricsHistory)
def test_history_is_told_of_vms_that_were_measured_the_oldest_first(bench: Bench, cloud: Any) -> None:
    vm = bench.running()
    if isinstance(bench.clock, ManualClock):
        bench.clock.sleep(1800)
    bench.eventually(lambda: cloud.history([vm], 3600.0), "the VM was measured")
    told = cloud.history([vm, ghost()], 3600.0)
    assert list(told) == [vm.key]
    times, now = [sample["at"] for sample in told[vm.key]], bench.clock.now()
    assert times == sorted(set(times))
    assert all(now - 3900 <= at <= now for at in times)
    assert all(0 <= sample["cpu_percent"] <= 100 for sample in told[vm.key])
    assert all(value >= 0 for sample in told[vm.key] for value in sample.values())
    assert cloud.history([], 3600.0) == {}


@needs(Prices)
def test_a_price_is_asked_for_one_flavor(bench: Bench, cloud: Any) -> None:
    flavor = bench.subject.flavor
    asked = cloud.price(flavor)
    assert (asked.name, asked.cloud) == (flavor, "bench")
    assert asked.price_per_hour > 0
    assert asked.currency
    assert asked.price_fetched == pytest.approx(bench.clock.now(), abs=bench.subject.patience)
    assert (asked.vcpus, asked.memory_mib) == next(
        (each.vcpus, each.memory_mib) for each in cloud.list_flavors() if each.name == flavor
    )
    with pytest.raises(NotFound):
        cloud.price("no-such-flavor")


@needs(Quotas)
def test_quotas_say_what_is_used_of_what(bench: Bench, cloud: Any) -> None:
    bench.running()
    quotas = list(cloud.list_quotas())
    assert len({quota.key for quota in quotas}) == len(quotas) > 0
    assert all(quota.name and quota.unit and quota.cloud == "bench" for quota in quotas)
    assert all(quota.limit is None or quota.limit >= 0 for quota in quotas)
    assert any(quota.used for quota in quotas)
