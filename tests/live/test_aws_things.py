"""What stands beside the VMs on a pretended AWS: addresses, volumes, snapshots, keys, prices, limits, leftovers."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cloudms.clouds.aws.driver import AwsCloud
from cloudms.clouds.base import Setup, Snapshots
from cloudms.errors import CloudmsError, Conflict, Denied, Exists, Invalid, NoCapacity, NotFound, NotReady, Unsupported
from cloudms.model import Origin, Vm, VmSpec, VmState
from tests.aws.emulator import Lab
from tests.live.aws import IMAGE, Aws

pytestmark = [pytest.mark.live, pytest.mark.services]

REGIONS = ("us-east-1", "eu-west-1")
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g ada@lab"
OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICAfHh0cGxoZGBcWFRQTEhEQDw4NDAsKCQgHBgUEAwIB ada@lab"
AWAY = 3
"""Answers that are lost until the client of AWS gives up."""

Open = Callable[..., AwsCloud]


@pytest.fixture
def opened(aws: Lab) -> Iterator[Open]:
    """Return what opens a connection; `options` are more settings."""
    clouds: list[AwsCloud] = []

    def open_(owner: str = "ada", **options: Any) -> AwsCloud:
        settings = {"endpoint": aws.endpoint, "region": "us-east-1", "regions": list(REGIONS), **options}
        clouds.append(AwsCloud(Setup(name="aws", options=settings, credentials=lambda: aws.credentials, owner=owner)))
        return clouds[-1]

    yield open_
    for cloud in clouds:
        cloud.close()


@pytest.fixture
def cloud(opened: Open) -> AwsCloud:
    """Return a connection to two regions."""
    return opened()


def boot(cloud: AwsCloud, region: str = "", name: str = "web") -> Vm:
    """Return a new running VM."""
    token = uuid.uuid4().hex
    spec = VmSpec(
        name=name, token=token, image=IMAGE, flavor="t3.micro", owner="ada", keys=(KEY,), key_name="ada", region=region
    )
    made = cloud.create_vm(spec)
    seen = cloud.get_vm(made)
    assert seen.state is VmState.RUNNING
    return seen


def off(cloud: AwsCloud, vm: Vm) -> Vm:
    """Return a VM that was switched off."""
    cloud.stop_vm(vm, force=True)
    seen = cloud.get_vm(vm)
    assert seen.state is VmState.STOPPED
    return seen


# addresses


def test_an_address_that_was_asked_for_before_a_kill_is_used_and_not_asked_for_twice(cloud: AwsCloud, aws: Lab) -> None:
    vm = boot(cloud)
    aws.fail("down", "AssociateAddress", times=AWAY)
    with pytest.raises(NotReady):
        cloud.set_address(vm)
    seen = cloud.set_address(vm)
    (address,) = aws.things("address")
    assert seen.public_ips == (address["name"],)
    assert seen.ssh_host == address["name"]
    assert cloud.set_address(vm).public_ips == seen.public_ips
    assert len(aws.things("address")) == 1
    cloud.delete_vm(vm)
    assert aws.things("address") == []


def test_an_address_of_the_account_is_lent_and_never_released(cloud: AwsCloud, aws: Lab) -> None:
    vm, ec2 = boot(cloud), aws.client()
    theirs = ec2.allocate_address(Domain="vpc")["PublicIp"]
    assert (theirs, "") in [(row.name, row.vm) for row in cloud.list_addresses()]
    assert cloud.set_address(vm, theirs).public_ips == (theirs,)
    assert [row.vm for row in cloud.list_addresses() if row.name == theirs] == ["web"]
    assert theirs not in cloud.remove_address(vm, theirs).public_ips
    cloud.set_address(vm, theirs)
    cloud.delete_vm(vm)
    assert [row["name"] for row in aws.things("address")] == [theirs]


def test_an_address_that_was_released_is_asked_back(cloud: AwsCloud, aws: Lab) -> None:
    vm = boot(cloud)
    address = cloud.set_address(vm).public_ips[0]
    cloud.remove_address(vm, address)
    assert aws.things("address") == []
    assert cloud.set_address(vm, address).public_ips == (address,)
    aws.fail("code", "AllocateAddress", code="InvalidAddress.NotFound", times=1)
    with pytest.raises(Invalid, match=r"198\.51\.100\.7"):
        cloud.set_address(vm, "198.51.100.7")


def test_a_vm_that_is_not_there_yet_has_to_wait_for_its_address(cloud: AwsCloud, aws: Lab) -> None:
    aws.change(boot_seconds=60.0)
    vm = cloud.create_vm(VmSpec(name="web", token=uuid.uuid4().hex, image=IMAGE, flavor="t3.micro", owner="ada"))
    with pytest.raises(NotReady, match="pending"):
        cloud.set_address(vm)
    assert aws.things("address") == []


def test_an_address_beyond_the_limit_of_the_account(cloud: AwsCloud, aws: Lab) -> None:
    vm = boot(cloud)
    aws.fail("code", "AllocateAddress", code="AddressLimitExceeded", times=1)
    with pytest.raises(NoCapacity) as caught:
        cloud.set_address(vm)
    assert "quota" in caught.value.hint
    with pytest.raises(Invalid, match="forwards no ports"):
        cloud.set_address(vm, ports={"8080": 80})


# volumes


def test_a_volume_is_made_where_the_vms_are_and_refused_elsewhere(cloud: AwsCloud, aws: Lab) -> None:
    vm = boot(cloud, region="us-east-1c")
    near = cloud.create_volume("near", 1, uuid.uuid4().hex, {})
    assert near.raw["AvailabilityZone"] == vm.raw["Placement"]["AvailabilityZone"] == "us-east-1c"
    assert near.raw["Encrypted"] is True
    assert near.raw["VolumeType"] == "gp3"
    assert cloud.attach_volume(near, vm).device == "/dev/sdf"
    far = cloud.create_volume("far", 1, uuid.uuid4().hex, {}, region="us-east-1a")
    with pytest.raises(Invalid, match=r"us-east-1a.*us-east-1c") as caught:
        cloud.attach_volume(far, vm)
    assert "--region us-east-1c" in caught.value.hint
    other = cloud.create_volume("other", 1, uuid.uuid4().hex, {}, region="eu-west-1")
    assert {(row.name, row.region) for row in cloud.list_volumes()} == {
        ("near", "us-east-1"), ("far", "us-east-1"), ("other", "eu-west-1"),
    }  # fmt: skip
    with pytest.raises(NotFound):
        cloud.create_volume("none", 1, uuid.uuid4().hex, {}, region="us-east-1z")
    young = near.with_(id="vol-0123456789abcdef0", created=cloud.clock.now())
    with pytest.raises(NotReady, match="not listed yet"):
        cloud.attach_volume(young, vm)
    with pytest.raises(NotFound):
        cloud.attach_volume(young.with_(created=cloud.clock.now() - 60), vm)
    with pytest.raises(NotFound, match="us-west-2"):
        cloud.create_volume("none", 1, uuid.uuid4().hex, {}, region="us-west-2")
    cloud.delete_volume(other)
    assert "other" not in {row.name for row in cloud.list_volumes()}


def test_a_volume_whose_answer_was_lost_is_made_once(cloud: AwsCloud, aws: Lab) -> None:
    token = uuid.uuid4().hex
    aws.fail("lost", "CreateVolume", times=AWAY)
    with pytest.raises(NotReady):
        cloud.create_volume("data", 2, token, {"a": "b"})
    volume = cloud.create_volume("data", 2, token, {"a": "b"})
    assert [row.id for row in cloud.list_volumes()] == [volume.id]


def test_each_volume_gets_a_device_of_its_own(cloud: AwsCloud, aws: Lab) -> None:
    vm = boot(cloud)
    aws.fail("code", "AttachVolume", code="InvalidParameterValue", message="Attachment point is already in use")
    volumes = [cloud.create_volume(f"d{number}", 1, uuid.uuid4().hex, {}) for number in range(3)]
    assert [cloud.attach_volume(each, vm).device for each in volumes] == ["/dev/sdg", "/dev/sdf", "/dev/sdh"]
    assert {row.vm for row in cloud.list_volumes()} == {"web"}
    cloud.delete_vm(vm)
    assert {(row.vm, row.state) for row in cloud.list_volumes()} == {("", "available")}


def test_a_volume_of_others_is_listed_without_a_token(cloud: AwsCloud, aws: Lab) -> None:
    boot(cloud)
    made = aws.client().create_volume(AvailabilityZone="us-east-1a", Size=3)["VolumeId"]
    (row,) = cloud.list_volumes()
    assert (row.name, row.id, row.size_gib, row.token, row.owner) == (made, made, 3, "", "")


# snapshots


def roots(aws: Lab) -> list[str]:
    """Return the ids of all volumes."""
    return [row["id"] for row in aws.things("volume")]


def test_a_stopped_vm_gets_a_disk_made_from_the_snapshot(cloud: AwsCloud, aws: Lab) -> None:
    vm = boot(cloud)
    kept = cloud.create_snapshot(vm, "before")
    assert (kept.name, kept.vm, kept.region) == ("before", "web", "us-east-1")
    assert [(row.name, row.state) for row in cloud.list_snapshots(vm)] == [("before", "completed")]
    vm, old = off(cloud, vm), roots(aws)
    assert cloud.revert_snapshot(vm, "before").state is VmState.STOPPED
    (fresh,) = aws.client().describe_volumes()["Volumes"]
    assert fresh["VolumeId"] not in old
    assert fresh["SnapshotId"] == kept.id
    assert fresh["Attachments"][0]["Device"] == vm.raw["RootDeviceName"]
    cloud.revert_snapshot(vm, "before")
    assert len(roots(aws)) == 1
    assert list(cloud.list_volumes()) == []
    cloud.start_vm(vm)
    cloud.delete_vm(vm)
    assert aws.things("snapshot", "volume") == []


@pytest.mark.parametrize("action", ["CreateVolume", "DetachVolume", "AttachVolume", "DeleteVolume"])
@pytest.mark.parametrize("fault", ["lost", "down"])
def test_a_revert_that_was_cut_off_goes_on(cloud: AwsCloud, aws: Lab, action: str, fault: str) -> None:
    vm = boot(cloud)
    kept = cloud.create_snapshot(vm, "before")
    vm = off(cloud, vm)
    aws.fail(fault, action, times=AWAY)
    with pytest.raises(NotReady):
        cloud.revert_snapshot(vm, "before")
    assert not [row for row in cloud.list_volumes() if row.raw.get("SnapshotId") == kept.id]
    cloud.revert_snapshot(vm, "before")
    (disk,) = cloud.get_vm(vm).raw["BlockDeviceMappings"]
    volumes = {row["VolumeId"]: row for row in aws.client().describe_volumes()["Volumes"]}
    assert volumes[disk["Ebs"]["VolumeId"]]["SnapshotId"] == kept.id
    assert disk["Ebs"]["DeleteOnTermination"] is True
    cloud.delete_vm(vm)
    for leftover in cloud.leftovers(frozenset()):
        cloud.clean(leftover)
    assert aws.things("volume", "snapshot") == []


def test_a_running_vm_whose_disk_aws_does_not_replace_has_to_be_stopped(cloud: AwsCloud, aws: Lab) -> None:
    vm = boot(cloud)
    cloud.create_snapshot(vm, "before")
    aws.change(replace_root="refuse")
    with pytest.raises(Unsupported) as caught:
        cloud.revert_snapshot(vm, "before")
    assert caught.value.hint.startswith("cms vm stop web")
    assert cloud.revert_snapshot(off(cloud, vm), "before").id == vm.id


def test_volumes_stay_out_of_the_snapshots_of_a_vm(cloud: AwsCloud, aws: Lab) -> None:
    vm = boot(cloud)
    cloud.attach_volume(cloud.create_volume("data", 1, uuid.uuid4().hex, {}), vm)
    cloud.create_snapshot(vm, "one")
    asked = aws.calls("CreateSnapshots")[-1]["params"]
    (volume,) = cloud.list_volumes()
    assert asked["InstanceSpecification.ExcludeDataVolumeId.1"] == volume.id
    assert len(aws.things("snapshot")) == 1
    assert cloud.revert_snapshot(vm, "one").id == vm.id
    with pytest.raises(Exists):
        cloud.create_snapshot(vm, "one")
    cloud.create_snapshot(vm, "two")
    assert [row.name for row in cloud.list_snapshots(vm)] == ["one", "two"]
    cloud.delete_snapshot(vm, "one")
    assert [row.name for row in cloud.list_snapshots()] == ["two"]


def test_snapshots_are_not_for_what_others_made(opened: Open, cloud: AwsCloud) -> None:
    vm = boot(cloud)
    theirs = opened("grace").get_vm(vm)
    assert theirs.origin is Origin.FOREIGN
    assert "cms vm adopt" in cloud.supports(Snapshots, theirs)
    assert "inside its host" in cloud.supports(Snapshots, vm.with_(raw={"RootDeviceType": "instance-store"}))
    assert cloud.supports(Snapshots, vm) == ""
    with pytest.raises(Conflict):
        opened("grace").create_snapshot(theirs, "mine")


# keys


def test_a_key_stands_in_every_region_and_is_listed_once(cloud: AwsCloud, aws: Lab) -> None:
    cloud.add_key("ada", KEY)
    assert sorted(row["region"] for row in aws.things("key")) == sorted(REGIONS)
    (key,) = cloud.list_keys()
    assert (key.name, key.id, key.type, key.region) == ("ada", "ada", "ssh-ed25519", "us-east-1")
    assert key.public.split()[:2] == KEY.split()[:2]
    aws.client("ec2", "eu-west-1").delete_key_pair(KeyName="ada")
    aws.client("ec2", "eu-west-1").import_key_pair(KeyName="ada", PublicKeyMaterial=OTHER.encode())
    assert sorted(key.id for key in cloud.list_keys()) == ["ada", "eu-west-1/ada"]
    with pytest.raises(Exists, match="eu-west-1"):
        cloud.add_key("ada", KEY)
    cloud.delete_key("ada")
    assert aws.things("key") == []
    with pytest.raises(Invalid, match="ecdsa"):
        cloud.add_key("p256", "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBA== x")


def test_a_pair_that_aws_made_is_listed_with_its_fingerprint(cloud: AwsCloud, aws: Lab) -> None:
    made = aws.client().create_key_pair(KeyName="old", KeyType="rsa")
    (key,) = cloud.list_keys()
    assert key.name == "old"
    assert key.fingerprint.startswith("SHA256:") or key.fingerprint == made["KeyFingerprint"]
    assert "PRIVATE" not in str(key.raw)


# what the account has and may


def test_limits_with_what_is_used_of_them(cloud: AwsCloud, aws: Lab) -> None:
    vm = boot(cloud)
    cloud.set_address(vm)
    rows = {(row.region, row.name): row for row in cloud.list_quotas()}
    standard = rows["us-east-1", "on-demand standard"]
    assert (standard.used, standard.limit, standard.unit) == (2, 32.0, "vCPUs")
    assert (rows["us-east-1", "elastic ips"].used, rows["eu-west-1", "elastic ips"].used) == (1, 0)
    assert rows["us-east-1", "on-demand g vt"].limit == 0.0


@pytest.mark.parametrize("fault", ["denied", "error500"])
def test_without_the_service_of_quotas_the_account_tells_what_it_knows(cloud: AwsCloud, aws: Lab, fault: str) -> None:
    boot(cloud)
    aws.fail(fault, "ListServiceQuotas", times=0)
    rows = {(row.region, row.name): (row.used, row.limit) for row in cloud.list_quotas()}
    assert rows["us-east-1", "instances"][0] == 1
    assert rows["us-east-1", "elastic ips"][1] is not None


def test_what_may_not_be_counted_is_told_as_unknown(cloud: AwsCloud, aws: Lab) -> None:
    aws.fail("denied", "DescribeAddresses", times=0)
    rows = {row.name: row for row in cloud.list_quotas() if row.region == "us-east-1"}
    assert (rows["elastic ips"].used, rows["elastic ips"].limit) == (None, 5.0)
    assert rows["on-demand standard"].used == 0


def test_prices_of_regions_and_of_spot(cloud: AwsCloud, aws: Lab) -> None:
    home, there = cloud.price("t3.micro"), cloud.price("t3.micro", "eu-west-1b")
    assert (home.price_per_hour, home.currency, home.region) == (0.0104, "USD", "us-east-1")
    assert there.region == "eu-west-1"
    assert there.price_per_hour == pytest.approx(0.01144)
    assert home.spot_per_hour is not None
    assert home.spot_per_hour < home.price_per_hour  # type: ignore[operator]
    asked = [call["region"] for call in aws.calls("GetProducts")]
    assert asked == ["us-east-1", "eu-central-1"]
    with pytest.raises(NotFound, match="no price"):
        cloud.price("m5.24xlarge")
    aws.fail("denied", "DescribeSpotPriceHistory", times=1)
    assert cloud.price("t3.micro").spot_per_hour is None
    aws.fail("denied", "GetProducts", times=1)
    with pytest.raises(Denied, match="GetProducts"):
        cloud.price("t3.micro")


def test_an_ec2_of_ones_own_tells_no_prices(opened: Open, aws: Lab) -> None:
    own = opened(endpoint={"ec2": aws.endpoint})
    with pytest.raises(NotFound, match="no service that tells prices"):
        own.price("t3.micro")
    assert {row.name for row in own.list_quotas()} == {"instances", "elastic ips"}
    assert aws.calls("GetProducts") == []


def test_flavors_are_narrowed_by_the_settings(opened: Open) -> None:
    found = {flavor.name: flavor for flavor in opened(flavors=["t3.m*", "m5.large"]).list_flavors()}
    assert set(found) == {"t3.micro", "t3.medium", "m5.large"}
    assert (found["t3.micro"].vcpus, found["t3.micro"].memory_mib, found["t3.micro"].disk_gib) == (2, 1024, 0)
    assert found["t3.micro"].labels["arch"] == "x86_64"
    assert found["m5.large"].labels["hibernation"] == "yes"


def test_500_vms_are_measured_with_one_question(cloud: AwsCloud, aws: Lab) -> None:
    vm = boot(cloud)
    ghosts = [Vm(name=f"g{n}", id=f"i-{n:017x}", region="us-east-1", token=f"t{n}") for n in range(500)]
    assert list(cloud.metrics([*ghosts, vm])) == [vm.key]
    assert len(aws.calls("GetMetricData")) == 2
    assert cloud.metrics([vm])[vm.key]["cpu_percent"] > 0


# leftovers


def test_what_a_killed_run_left_is_found_by_its_token_and_removed(cloud: AwsCloud, aws: Lab) -> None:
    vm, ec2 = boot(cloud), aws.client()
    cloud.set_address(vm)
    cloud.create_snapshot(vm, "kept")
    mark = [{"Key": "cms:token", "Value": "feed"}, {"Key": "cms:owner", "Value": "ada"}]
    tagged: Callable[[str], Any] = lambda kind: {"TagSpecifications": [{"ResourceType": kind, "Tags": mark}]}  # noqa: E731
    volume = ec2.create_volume(AvailabilityZone="us-east-1a", Size=3, **tagged("volume"))["VolumeId"]
    ec2.create_snapshot(VolumeId=volume, **tagged("snapshot"))
    ec2.allocate_address(Domain="vpc", **tagged("elastic-ip"))
    ec2.create_security_group(GroupName="ports", Description="x", **tagged("security-group"))
    ec2.import_key_pair(KeyName="k", PublicKeyMaterial=KEY.encode(), **tagged("key-pair"))
    known = frozenset((vm.token,))
    found = {each.kind: each for each in cloud.leftovers(known)}
    assert set(found) == {"volume", "snapshot", "address", "security group", "key"}
    assert {each.token for each in found.values()} == {"feed"}
    assert found["volume"].size == 3 << 30
    assert found["volume"].age is not None
    assert {each.token for each in cloud.leftovers(known | {"feed"})} == set()
    assert list(cloud.leftovers(known | {"feed.2"})) == []
    for each in found.values():
        cloud.clean(each)
        cloud.clean(each)
    assert list(cloud.leftovers(known)) == []
    assert len(aws.things("address")) == 1
    with pytest.raises(Invalid):
        cloud.clean(found["volume"].with_(kind="seed"))


def test_what_hangs_on_an_instance_is_no_leftover(cloud: AwsCloud, aws: Lab) -> None:
    vm = boot(cloud)
    cloud.set_address(vm)
    cloud.attach_volume(cloud.create_volume("data", 1, "beef", {}), vm)
    assert [each for each in cloud.leftovers(frozenset()) if each.kind in ("volume", "address")] == []
    (volume,) = cloud.list_volumes()
    cloud.detach_volume(volume)
    (left,) = [each for each in cloud.leftovers(frozenset()) if each.kind == "volume"]
    cloud.attach_volume(volume, vm)
    with pytest.raises(Conflict, match="in use"):
        cloud.clean(left)


def test_a_region_that_is_down_hides_no_leftover_of_another(cloud: AwsCloud, aws: Lab) -> None:
    cloud.create_volume("data", 1, "beef", {})
    aws.fail("down", "DescribeTags", region="eu-west-1", times=0)
    seen = []
    with pytest.raises(CloudmsError, match="eu-west-1"):
        for each in cloud.leftovers(frozenset()):
            seen.append(each)
    assert [each.token for each in seen] == ["beef"]


# the commands


def test_the_commands_of_the_ancestors(aws: Lab, tmp_path: Path) -> None:
    cms = Aws(aws, tmp_path)
    (key,) = cms.rows("aws", "keypair", "create", "AWS1")
    assert (key["name"], key["cloud"], key["type"]) == ("AWS1", "aws", "ssh-ed25519")
    private = cms.folder / "keys" / "AWS1"
    assert private.stat().st_mode & 0o777 == 0o600
    assert [row["name"] for row in aws.things("key")] == ["AWS1"]
    assert {(row["name"], row["cloud"]) for row in cms.rows("aws", "keypair", "list")} == {
        ("AWS1", ""),
        ("AWS1", "aws"),
    }
    assert [row["fingerprint"] for row in cms.rows("aws", "keypair", "refresh")] == [key["fingerprint"]]
    public = private.with_suffix(".pub").read_text().split()
    assert cms("aws", "keypair", "get", "AWS1").stdout.split()[:2] == public[:2]
    (vm,) = cms.rows("aws", "vm", "boot", IMAGE, "--name", "test1", "--key", "AWS1")
    assert vm["state"] == "running"
    zones = cms.rows("aws", "location", "refresh")
    assert {"name": "us-east-1a", "region": "us-east-1", "country": "USA", "state": "available"}.items() <= {
        **zones[0]
    }.items()
    (volume,) = cms.rows("aws", "volume", "create", "VOL_TEST_1")
    assert (volume["size_gib"], volume["id"][:4]) == (1, "vol-")
    assert [row["id"] for row in cms.rows("aws", "volume", "refresh")] == [volume["id"]]
    cms("aws", "volume", "delete", volume["id"], "--yes")
    assert cms.rows("aws", "volume", "list") == []
    (price,) = cms.rows("aws", "flavor", "price", "t3.micro")
    assert price["price_per_hour"] == 0.0104
    quotas = {row["name"]: row for row in cms.rows("aws", "quota", "list")}
    assert quotas["on-demand standard"]["used"] == 2
    (usage,) = cms.rows("aws", "vm", "stats")
    assert usage["cpu_percent"] > 0
    cms("aws", "keypair", "delete", "AWS1", "--yes")
    assert "AWS1" not in [row["name"] for row in aws.things("key")]
    assert private.exists()
    cms.told_no_secret()


def test_windows_gets_an_rsa_key_and_nothing_of_ours_to_run(
    cloud: AwsCloud, aws: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rsa = tmp_path / "rsa"
    subprocess.run(["ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", str(rsa)], check=True)
    found = cloud.image
    monkeypatch.setattr(cloud, "image", lambda *words: {**found(*words), "Platform": "windows"})
    spec = VmSpec(
        name="win", token=uuid.uuid4().hex, image=IMAGE, flavor="t3.micro", owner="ada", key_name="ada", hostname="win",
        keys=(KEY, rsa.with_suffix(".pub").read_text().strip()), expires=cloud.clock.now() + 3600,
    )  # fmt: skip
    cloud.create_vm(spec)
    (call,) = aws.calls("RunInstances")
    assert not {"UserData", "InstanceInitiatedShutdownBehavior"} & set(call["params"])
    (pair,) = aws.client().describe_key_pairs(IncludePublicKey=True)["KeyPairs"]
    assert (pair["KeyName"], pair["PublicKey"].split()[0]) == (call["params"]["KeyName"], "ssh-rsa")


def test_an_address_of_one_that_was_off_goes_with_it(cloud: AwsCloud, aws: Lab) -> None:
    vm = boot(cloud)
    cloud.set_address(vm)
    cloud.delete_vm(off(cloud, vm))
    assert aws.things("address", "instance") == []
