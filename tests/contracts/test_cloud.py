"""The contract of a cloud: every MUST of `clouds.base` and every required method, on every cloud."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from cloud_subjects import OTHER, OWNER, SDKS, SECRET, SUBJECTS, Bench, Subject, ghost, needs

from cloudms import paths, registry
from cloudms.clouds import base
from cloudms.clouds.base import Cloud, Leftover, Power, Role, UserData, all_roles, require
from cloudms.errors import CloudmsError, Exists, NotFound, Unsupported
from cloudms.guards import contract_calls
from cloudms.model import Origin, Vm, VmState, Volume


def found(cloud: Cloud, vm: Vm) -> list[Vm]:
    """Return the rows of the list that carry the token of `vm`."""
    return [row for row in cloud.list_vms() if row.token == vm.token]


def test_every_registered_cloud_has_a_subject() -> None:
    assert set(registry.FAMILIES["cloudms.clouds"]) == {subject.kind for subject in SUBJECTS}


def test_reach_says_who_answers(bench: Bench, cloud: Cloud) -> None:
    reach = cloud.reach()
    assert reach.version
    assert reach.seconds >= 0
    json.dumps(reach.to_document())


def test_a_created_vm_is_described_and_comes_up(bench: Bench) -> None:
    vm, spec = bench.running(), bench.shared_spec
    assert vm.id
    assert (vm.name, vm.token, vm.owner, vm.cloud) == (spec.name, spec.token, OWNER, "bench")
    assert (vm.image, vm.flavor) == (spec.image, spec.flavor)
    assert vm.origin is Origin.OWN
    assert vm.created is not None
    assert abs(vm.created - bench.clock.now()) < 3600
    assert vm.fetched is not None


def test_create_returns_at_once_what_the_cloud_says_of_it(bench: Bench, cloud: Cloud) -> None:
    said: list[str] = []
    vm = bench.keep(cloud.create_vm(bench.spec(), said.append))
    assert vm.id
    assert vm.state in (VmState.PENDING, VmState.RUNNING)
    assert said
    bench.delete(vm)


def test_the_list_tells_whose_each_vm_is(bench: Bench, cloud: Cloud) -> None:
    vm = bench.running()
    (row,) = found(cloud, vm)
    assert (row.name, row.id, row.owner) == (vm.name, vm.id, OWNER)


def test_get_finds_by_id_and_without_one_by_token(bench: Bench, cloud: Cloud) -> None:
    vm = bench.vm()
    assert cloud.get_vm(Vm(name="?", id=vm.id)).token == vm.token
    assert cloud.get_vm(Vm(name="?", token=vm.token)).id == vm.id


def test_create_with_the_same_token_returns_the_first_vm(bench: Bench) -> None:
    """The reply to the first call may have been lost: the second comes from a connection that knows nothing."""
    vm, again = bench.running(), bench.open()
    assert again.create_vm(bench.shared_spec).id == vm.id
    assert again.create_vm(bench.shared_spec.with_(name="another-name")).id == vm.id
    assert len(found(again, vm)) == 1


@needs(Power)
def test_create_does_not_start_a_vm_that_was_stopped(bench: Bench, cloud: Cloud) -> None:
    vm = bench.stopped()
    assert cloud.create_vm(bench.shared_spec).state is VmState.STOPPED
    assert cloud.get_vm(vm).state is VmState.STOPPED


def test_a_name_is_taken_once(bench: Bench, cloud: Cloud) -> None:
    vm = bench.vm()
    if bench.subject.unique_names:
        with pytest.raises(Exists):
            bench.create(vm.name)
        assert len([row for row in cloud.list_vms() if row.name == vm.name]) == 1
    else:
        twin = bench.create(vm.name)
        assert twin.id != vm.id
        bench.delete(twin)


@pytest.mark.parametrize("wrong", [{"image": "no-such-image"}, {"flavor": "no-such-flavor"}])
def test_an_image_or_flavor_that_is_not_there_is_not_found_and_nothing_is_made(
    bench: Bench, cloud: Cloud, wrong: dict[str, str]
) -> None:
    spec = bench.spec(**wrong)
    with pytest.raises(NotFound):
        cloud.create_vm(spec)
    assert spec.token not in {vm.token for vm in cloud.list_vms()}
    assert not [left for left in cloud.leftovers(frozenset()) if left.token == spec.token]


def test_delete_takes_it_away_and_does_so_again(bench: Bench, cloud: Cloud) -> None:
    vm = bench.create()
    bench.delete(vm)
    assert all(row.state is VmState.TERMINATED for row in found(cloud, vm))
    cloud.delete_vm(vm)
    bench.open().delete_vm(vm.with_(id=""))
    assert not [left for left in cloud.leftovers(frozenset()) if left.token == vm.token]


def test_a_name_is_free_after_its_vm_was_deleted(bench: Bench) -> None:
    vm = bench.create()
    bench.delete(vm)
    assert bench.create(vm.name).id != vm.id


def test_what_others_made_is_listed_with_its_owner_and_not_as_ours(bench: Bench, cloud: Cloud) -> None:
    theirs = bench.create(owner=OTHER)
    (row,) = found(cloud, theirs)
    assert (row.owner, row.origin) == (OTHER, Origin.FOREIGN)
    assert cloud.get_vm(theirs).origin is Origin.FOREIGN
    assert bench.open(OTHER).get_vm(theirs).origin is Origin.OWN
    for role in cloud.ours_only:
        assert "cms vm adopt" in cloud.supports(role, cloud.get_vm(theirs)), role.name
    bench.open(OTHER).delete_vm(theirs)
    bench.eventually(lambda: bench.gone(theirs), "their VM is deleted")


def test_many_threads_make_and_list_at_once(bench: Bench, cloud: Cloud) -> None:
    specs = [bench.spec() for _ in range(bench.subject.crowd)]
    made, failed = [], []

    def one(spec: base.VmSpec) -> None:
        try:
            made.append(bench.keep(cloud.create_vm(spec)))
            assert found(cloud, made[-1])
        except Exception as error:  # noqa: BLE001 (shown by the assertion below)
            failed.append(error)

    threads = [threading.Thread(target=one, args=(spec,)) for spec in specs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert {vm.token for vm in made} == {spec.token for spec in specs}
    assert len({vm.id for vm in made}) == len(specs)
    addresses = [(vm.ssh_host, vm.ssh_port) for vm in map(cloud.get_vm, made) if vm.ssh_host]
    assert len(set(addresses)) == len(addresses)
    for vm in made:
        bench.delete(vm)


def test_ready_is_none_or_says_what_is_missing_until_nothing_is(bench: Bench, cloud: Cloud) -> None:
    vm = bench.running()
    answer = cloud.ready(vm)
    assert answer is None or isinstance(answer, str)
    if answer is not None:
        bench.eventually(lambda: cloud.ready(vm) == "", "the cloud says that it is ready")


def test_a_healthy_vm_needs_no_mending_and_takes_it(bench: Bench, cloud: Cloud) -> None:
    vm = bench.running()
    assert cloud.detached(vm) is False
    assert cloud.half_made(vm) is False
    mended = cloud.mend(vm)
    assert (mended.id, mended.state) == (vm.id, VmState.RUNNING)


def test_leftovers_are_nothing_that_a_vm_or_a_known_token_has(bench: Bench, cloud: Cloud) -> None:
    vm = bench.vm()
    assert vm.token not in {left.token for left in cloud.leftovers(frozenset())}
    for left in cloud.leftovers(frozenset()):
        assert left.token not in {each.token for each in cloud.leftovers(frozenset({left.token}))}
        json.dumps(left.to_document())


def test_images_and_flavors_contain_what_vms_are_made_of(bench: Bench, cloud: Cloud) -> None:
    images, flavors = list(cloud.list_images()), list(cloud.list_flavors())
    assert bench.subject.image in {image.name for image in images}
    assert bench.subject.flavor in {flavor.name for flavor in flavors}
    assert len({flavor.name for flavor in flavors}) == len(flavors)
    assert all(flavor.vcpus > 0 and flavor.memory_mib > 0 for flavor in flavors)
    assert {noun.cloud for noun in [*images, *flavors]} == {"bench"}


def test_what_a_vm_would_be_made_of_is_found_by_name_and_id(bench: Bench, cloud: Cloud) -> None:
    image, flavor = cloud.find_image(bench.subject.image, bench.subject.flavor), cloud.find_flavor(bench.subject.flavor)
    assert (image.name, flavor.name) == (bench.subject.image, bench.subject.flavor)
    assert cloud.find_image(image.id, bench.subject.flavor).id == image.id
    for find in (cloud.find_image, cloud.find_flavor):
        with pytest.raises(NotFound):
            find("no-such-thing")


def test_every_noun_becomes_json_and_comes_back(bench: Bench, cloud: Cloud) -> None:
    vm = bench.running()
    for noun in [vm, *cloud.list_vms(), *cloud.list_images(), *cloud.list_flavors()]:
        assert type(noun).from_document(json.loads(json.dumps(noun.to_document()))) == noun


@needs(UserData)
def test_raw_holds_no_secret(bench: Bench, cloud: Cloud) -> None:
    vm = bench.vm()
    assert vm.raw
    assert SECRET in bench.shared_spec.user_data
    for shown in (vm, *found(cloud, vm), cloud.create_vm(bench.shared_spec)):
        assert SECRET not in json.dumps(shown.to_document())


def test_it_writes_no_catalog_and_prints_nothing(bench: Bench, cloud: Cloud, capfd: pytest.CaptureFixture[str]) -> None:
    bench.running()
    list(cloud.list_vms())
    with pytest.raises(NotFound):
        cloud.get_vm(ghost())
    assert capfd.readouterr() == ("", "")
    assert not paths.catalog().exists()


def test_a_closed_connection_takes_nothing_from_others(bench: Bench) -> None:
    vm, other = bench.vm(), bench.open()
    assert other.get_vm(vm).id == vm.id
    other.close()
    assert bench.open().get_vm(vm).id == vm.id


def test_roles_are_those_it_inherits_from(subject: Subject) -> None:
    assert subject.cls.roles() == tuple(role for role in all_roles() if issubclass(subject.cls, role))
    assert subject.cls.kind == subject.kind
    assert set(subject.cls.ours_only) <= set(subject.cls.roles())
    assert not set(subject.cls.lacks) & set(subject.cls.roles())


def test_supports_answers_for_every_role_and_a_missing_one_is_refused(bench: Bench, cloud: Cloud) -> None:
    class Teleport(Role):
        """A role that no cloud has."""

        name = "teleport"

    vm = bench.vm()
    for role in cloud.roles():
        assert isinstance(cloud.supports(role, vm), str)
        assert cloud.supports(role) == ""
    with pytest.raises(Unsupported, match="teleport"):
        require(cloud, Teleport, vm)


GHOSTS: dict[str, Callable[[Cloud, Vm], object]] = {
    "get_vm": lambda cloud, vm: cloud.get_vm(vm),
    "start_vm": lambda cloud, vm: cloud.start_vm(vm),
    "stop_vm": lambda cloud, vm: cloud.stop_vm(vm, force=True),
    "reboot_vm": lambda cloud, vm: cloud.reboot_vm(vm),
    "suspend_vm": lambda cloud, vm: cloud.suspend_vm(vm),
    "resume_vm": lambda cloud, vm: cloud.resume_vm(vm),
    "save_vm": lambda cloud, vm: cloud.save_vm(vm),
    "deallocate_vm": lambda cloud, vm: cloud.deallocate_vm(vm),
    "resize_vm": lambda cloud, vm: cloud.resize_vm(vm, next(iter(cloud.list_flavors())).name),
    "confirm_vm": lambda cloud, vm: cloud.confirm_vm(vm),
    "revert_vm": lambda cloud, vm: cloud.revert_vm(vm),
    "rename_vm": lambda cloud, vm: cloud.rename_vm(vm, "cms-contract-other"),
    "rebuild_vm": lambda cloud, vm: cloud.rebuild_vm(vm, next(iter(cloud.list_images())).name),
    "create_snapshot": lambda cloud, vm: cloud.create_snapshot(vm, "s"),
    "revert_snapshot": lambda cloud, vm: cloud.revert_snapshot(vm, "s"),
    "console_log": lambda cloud, vm: cloud.console_log(vm),
    "tag_vm": lambda cloud, vm: cloud.tag_vm(vm),
    "adopt_vm": lambda cloud, vm: cloud.adopt_vm(vm),
    "set_address": lambda cloud, vm: cloud.set_address(vm),
    "attach_volume": lambda cloud, vm: cloud.attach_volume(Volume(name="none", id="none"), vm),
}
"""Calls that need a VM."""


@pytest.mark.calls(GHOSTS)
def test_a_vm_that_is_not_there_is_not_found(bench: Bench, cloud: Cloud, call: str) -> None:
    with pytest.raises(NotFound):
        GHOSTS[call](cloud, ghost())


FORGIVING: dict[str, Callable[[Cloud, Vm], object]] = {
    "delete_vm": lambda cloud, vm: cloud.delete_vm(vm),
    "half_made": lambda cloud, vm: cloud.half_made(vm),
    "detached": lambda cloud, vm: cloud.detached(vm),
    "delete_snapshot": lambda cloud, vm: cloud.delete_snapshot(vm, "s"),
    "delete_key": lambda cloud, _vm: cloud.delete_key("cms-contract-none"),
    "delete_volume": lambda cloud, _vm: cloud.delete_volume(Volume(name="none", id="none")),
    "metrics": lambda cloud, vm: cloud.metrics([vm]),
    "history": lambda cloud, vm: cloud.history([vm], 3600.0),
}
"""Calls that succeed when what they name is not there."""


@pytest.mark.calls(FORGIVING)
def test_what_is_already_gone_is_success(bench: Bench, cloud: Cloud, call: str) -> None:
    assert not FORGIVING[call](cloud, ghost())


@pytest.mark.parametrize(
    "odd", ["", "x" * 300, "a/b\nc", "Ünï'\"<&", "../../etc", "-rf", "$(id)"], ids=["none", *"abcdef"]
)
def test_only_house_errors_escape(bench: Bench, cloud: Cloud, odd: str) -> None:
    vm = Vm(name=odd, id=odd, token="")
    calls: list[Callable[[], object]] = [lambda: cloud.get_vm(vm), lambda: cloud.delete_vm(vm)]
    calls.append(lambda: cloud.clean(Leftover(kind="disk", id=odd or "none")))
    calls.append(lambda: bench.keep(cloud.create_vm(bench.spec(image=odd or "?"))))
    for call in calls:
        try:
            call()
        except CloudmsError as error:
            assert error.message
            assert "\n" not in error.message


def test_importing_it_imports_no_sdk(subject: Subject) -> None:
    code = f"""
import sys
from cloudms import registry
registry.load("cloudms.clouds", {subject.kind!r}).roles()
print([name for name in {SDKS!r} if name in sys.modules])
"""
    assert in_a_new_process(code) == "[]"


def test_a_missing_sdk_is_said_with_what_installs_it(subject: Subject) -> None:
    if not subject.sdk:
        assert subject.cls.extra == ""
        return
    code = f"""
import sys
sys.modules[{subject.sdk!r}] = None
from cloudms import registry
from cloudms.clouds.base import Setup
from cloudms.errors import MissingExtra
try:
    registry.load("cloudms.clouds", {subject.kind!r})(Setup(name="bench")).reach()
except MissingExtra as error:
    print(error.hint)
"""
    assert in_a_new_process(code) == f'pip install "cloudms[{subject.cls.extra}]"'


def test_every_call_of_the_contract_has_a_case() -> None:
    text = "".join(file.read_text() for file in Path(__file__).parent.glob("*cloud*.py"))
    assert [call for call in sorted(contract_calls()) if f".{call}(" not in text and f'"{call}"' not in text] == []


def in_a_new_process(code: str) -> str:
    """Return what a Python program prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
