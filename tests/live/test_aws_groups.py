"""Security groups on a pretended AWS, and volumes that grow and are kept there."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from cloudms.clouds.aws.driver import AwsCloud
from cloudms.errors import Conflict, Exists, Invalid, NotFound, NotReady
from cloudms.model import Rule, SecGroup, Vm, VmSpec, VolumeSnapshot
from tests.aws.emulator import Lab
from tests.live.aws import IMAGE
from tests.live.test_aws_things import AWAY, boot, cloud, opened

__all__ = ["cloud", "opened"]  # fixtures

pytestmark = [pytest.mark.live, pytest.mark.services]


def token() -> str:
    return uuid.uuid4().hex


# volumes


def test_a_volume_that_has_just_grown_waits_for_hours_unless_it_has_the_size(cloud: AwsCloud, aws: Lab) -> None:
    volume = cloud.create_volume("data", 1, token(), {"a": "b"})
    aws.fail("lost", "ModifyVolume", times=AWAY)
    with pytest.raises(NotReady):
        cloud.resize_volume(volume, 4)
    aws.fail("code", "ModifyVolume", code="VolumeModificationRateExceeded", times=0)
    assert cloud.resize_volume(volume, 4).size_gib == 4
    with pytest.raises(NotReady, match="six hours") as caught:
        cloud.resize_volume(volume, 5)
    assert caught.value.details["retry"] is False
    assert [(row.size_gib, dict(row.labels)) for row in cloud.list_volumes()] == [(4, {"a": "b"})]


def test_a_volume_grows_while_its_vm_runs(cloud: AwsCloud) -> None:
    vm = boot(cloud)
    volume = cloud.attach_volume(cloud.create_volume("data", 1, token(), {}), vm)
    grown = cloud.resize_volume(volume, 9)
    assert (grown.size_gib, grown.vm, grown.device) == (9, "web", "/dev/sdf")
    with pytest.raises(Invalid, match="cannot shrink"):
        cloud.resize_volume(volume, 8)


def test_snapshots_of_vms_and_images_are_not_those_of_volumes(cloud: AwsCloud, aws: Lab) -> None:
    vm, ec2 = boot(cloud), aws.client()
    volume = cloud.create_volume("data", 1, token(), {})
    kept = cloud.create_volume_snapshot(volume, "before", token())
    cloud.create_snapshot(vm, "of-the-vm")
    ec2.create_image(InstanceId=vm.id, Name="of-the-image")
    theirs = ec2.create_snapshot(VolumeId=volume.id)["SnapshotId"]
    rows = {row.id: row for row in cloud.list_volume_snapshots()}
    assert set(rows) == {kept.id, theirs}
    assert (rows[kept.id].name, rows[kept.id].volume, rows[kept.id].state) == ("before", "data", "available")
    assert (rows[theirs].name, rows[theirs].volume, rows[theirs].token) == (theirs, volume.id, "")
    assert [row.name for row in cloud.list_snapshots()] == ["of-the-vm"]


def test_a_snapshot_whose_answer_was_lost_is_made_once_and_known_by_its_token(cloud: AwsCloud, aws: Lab) -> None:
    volume, mark = cloud.create_volume("data", 1, token(), {}), token()
    aws.fail("lost", "CreateSnapshot", times=1)
    kept = cloud.create_volume_snapshot(volume, "before", mark)
    assert [row.id for row in cloud.list_volume_snapshots()] == [kept.id]
    (left,) = [each for each in cloud.leftovers(frozenset((volume.token,))) if each.token == mark]
    assert (left.kind, left.name, left.size) == ("snapshot", "before", 1 << 30)
    assert [each for each in cloud.leftovers(frozenset((volume.token, mark))) if each.token == mark] == []
    cloud.clean(left)
    assert list(cloud.list_volume_snapshots()) == []
    cloud.delete_volume_snapshot(kept)


def test_volumes_are_made_of_a_snapshot_in_a_zone_of_its_region(cloud: AwsCloud, aws: Lab) -> None:
    volume = cloud.create_volume("data", 3, token(), {})
    kept, mark = cloud.create_volume_snapshot(volume, "before", token()), token()
    aws.fail("lost", "CreateVolume", times=AWAY)
    with pytest.raises(NotReady):
        cloud.restore_volume(kept, "again", mark, {"a": "b"}, region="us-east-1b")
    made = cloud.restore_volume(kept, "again", mark, {"a": "b"}, region="us-east-1b")
    assert (made.size_gib, made.raw["AvailabilityZone"], made.raw["SnapshotId"]) == (3, "us-east-1b", kept.id)
    assert len(list(cloud.list_volumes())) == 2
    with pytest.raises(Invalid, match="us-east-1") as caught:
        cloud.restore_volume(kept, "there", token(), {}, region="eu-west-1")
    assert caught.value.hint == "--region us-east-1"
    with pytest.raises(NotFound):
        cloud.restore_volume(VolumeSnapshot(name="none", id="snap-0123456789abcdef0"), "none", token(), {})


# security groups


def named(cloud: AwsCloud, **narrow: str) -> dict[str, SecGroup]:
    """Return the security groups by name."""
    rows = [row for row in cloud.list_secgroups() if all(getattr(row, key) == narrow[key] for key in narrow)]
    return {row.name: row for row in rows}


def texts(group: SecGroup) -> list[str]:
    return [rule.text for rule in group.rules if rule.direction == "ingress"]


def web(cloud: AwsCloud, name: str = "web", **options: Any) -> Vm:
    """Return a VM with options."""
    spec = VmSpec(name=name, token=token(), image=IMAGE, flavor="t3.micro", owner="ada", options=options)
    return cloud.get_vm(cloud.create_vm(spec))


def test_a_group_whose_answer_was_lost_is_made_once(cloud: AwsCloud, aws: Lab) -> None:
    mark = token()
    aws.fail("lost", "CreateSecurityGroup", times=AWAY)
    with pytest.raises(NotReady):
        cloud.create_secgroup("front", "for a test", mark)
    group = cloud.create_secgroup("front", "for a test", mark)
    assert (group.description, group.token, group.owner) == ("for a test", mark, "ada")
    assert [rule.text for rule in group.rules] == ["out any to 0.0.0.0/0"]
    (left,) = [each for each in cloud.leftovers(frozenset()) if each.token == mark]
    assert left.kind == "security group"
    assert [each for each in cloud.leftovers(frozenset((mark,))) if each.token == mark] == []
    cloud.clean(left)
    assert "front" not in named(cloud)


def test_rules_that_were_cut_off_are_completed_and_said_once(cloud: AwsCloud, aws: Lab) -> None:
    group, rule = cloud.create_secgroup("front", "", token()), Rule(first=80, last=80)
    aws.fail("denied", "AuthorizeSecurityGroupIngress", times=1)
    with pytest.raises(Exception, match="not allowed"):
        cloud.add_rule(group, rule)
    aws.fail("lost", "AuthorizeSecurityGroupIngress", times=1)
    assert texts(cloud.add_rule(group, rule)) == ["in tcp 80"]
    assert texts(cloud.add_rule(group, rule)) == ["in tcp 80"]
    assert texts(cloud.remove_rule(group, rule)) == []


def test_what_aws_lets_out_by_itself_can_be_taken_away(cloud: AwsCloud) -> None:
    group = cloud.create_secgroup("front", "", token())
    everything = Rule(direction="egress", protocol="any")
    assert cloud.remove_rule(group, everything).rules == ()
    assert [rule.text for rule in cloud.add_rule(group, everything).rules] == ["out any"]


def test_vms_are_in_their_groups_beside_those_that_boot_gives(cloud: AwsCloud, aws: Lab) -> None:
    front, back = (cloud.create_secgroup(name, "", token()) for name in ("front", "back"))
    vm = web(cloud, secgroups=["front", back.id, "front"], open=[80])
    groups = {group["GroupName"] for group in vm.raw["SecurityGroups"]}
    assert groups == {"cms-ada", "front", "back", f"cms-ports-{vm.token}"}
    rows = named(cloud)
    assert [rows[name].vms for name in ("front", "back", "cms-ada")] == [("web",)] * 3
    assert rows[f"cms-ports-{vm.token}"].token == ""  # it goes with its VM, and is no group of a person
    with pytest.raises(Conflict, match="in use") as caught:
        cloud.delete_secgroup(front)
    assert "VMs in it" in caught.value.hint
    cloud.delete_vm(vm)
    for group in (front, back, front):
        cloud.delete_secgroup(group)
    assert not {"front", "back", f"cms-ports-{vm.token}"} & set(named(cloud))


def test_a_group_that_is_not_there_keeps_a_vm_from_being_made_and_leaves_no_ports(cloud: AwsCloud, aws: Lab) -> None:
    with pytest.raises(NotFound, match="'none'"):
        web(cloud, secgroups=["none"], open=[80])
    assert aws.things("instance") == []
    assert not [name for name in named(cloud) if name.startswith("cms-ports-")]


def test_groups_stand_in_regions(cloud: AwsCloud) -> None:
    here = cloud.create_secgroup("front", "", token())
    there = cloud.create_secgroup("front", "", token(), region="eu-west-1b")
    assert {group.region for group in (here, there)} == {"us-east-1", "eu-west-1"}
    assert named(cloud, region="eu-west-1")["front"].id == there.id
    with pytest.raises(Exists):
        cloud.create_secgroup("front", "", token(), region="eu-west-1")
    with pytest.raises(NotFound, match="us-west-2"):
        cloud.create_secgroup("front", "", token(), region="us-west-2")
    only = cloud.create_secgroup("only-there", "", token(), region="eu-west-1")
    with pytest.raises(NotFound, match="only-there"):
        cloud.add_rule(here, Rule(first=22, last=22, remote=only.name))


@pytest.mark.parametrize(("name", "text"), [("sg-front", ""), ("", "x"), ("front", "größer"), ("front", "a\nb")])
def test_what_aws_does_not_take_is_refused_before_it_is_asked(
    cloud: AwsCloud, aws: Lab, name: str, text: str
) -> None:  # fmt: skip
    with pytest.raises(Invalid, match="does not take"):
        cloud.create_secgroup(name, text, token())
    assert aws.calls("CreateSecurityGroup") == []


def test_groups_that_others_made_are_listed_and_named(cloud: AwsCloud, aws: Lab) -> None:
    made = aws.client().create_security_group(GroupName="theirs", Description="by hand")["GroupId"]
    row = named(cloud)["theirs"]
    assert (row.id, row.token, row.owner) == (made, "", "")
    assert texts(cloud.add_rule(row, Rule(first=22, last=22, remote="theirs"))) == ["in tcp 22 from theirs"]
    assert "default" in named(cloud)
