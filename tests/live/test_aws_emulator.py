"""The pretended AWS that other tests stand on keeps the rules that EC2 documents, asked with plain boto3."""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import boto3.session
import pytest
from botocore.exceptions import ClientError, ConnectionClosedError
from botocore.parsers import ResponseParserError

from cloudms.clouds.aws.emulator import Emulator
from tests.aws import images
from tests.aws.emulator import Lab, running

pytestmark = [pytest.mark.live, pytest.mark.services]

AMI = images.few()[0]["ami_id"]
ARM = next(row["ami_id"] for row in images.few() if row["architecture"] == "arm64")
KEY = b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g ada@lab"


@pytest.fixture
def ec2(aws: Lab) -> Iterator[Any]:
    """Return a client of EC2."""
    client = aws.client()
    yield client
    client.close()


def launch(ec2: Any, count: int = 1, **more: Any) -> list[dict[str, Any]]:
    """Launch instances and return them."""
    values = {"ImageId": AMI, "InstanceType": "t3.micro", "MinCount": count, "MaxCount": count, **more}
    found: list[dict[str, Any]] = ec2.run_instances(**values)["Instances"]
    return found


def one(ec2: Any, **more: Any) -> str:
    """Launch one instance and return its id."""
    return str(launch(ec2, **more)[0]["InstanceId"])


def state(ec2: Any, name: str) -> str:
    """Return the state of an instance."""
    rows = ec2.describe_instances(InstanceIds=[name])["Reservations"]
    return str(rows[0]["Instances"][0]["State"]["Name"])


def code(act: Callable[..., object], *args: Any, **more: Any) -> str:
    """Return the code of the error that a call ends with."""
    with pytest.raises(ClientError) as refused:
        act(*args, **more)
    return str(refused.value.response["Error"]["Code"])


def every(ec2: Any, operation: str, key: str, **more: Any) -> tuple[list[Any], int]:
    """Return the rows of all pages, and how many pages there are."""
    pages = list(ec2.get_paginator(operation).paginate(**more))
    return [row for page in pages for row in page[key]], len(pages)


def test_the_same_token_makes_the_same_instances_once(ec2: Any) -> None:
    first = launch(ec2, 2, ClientToken="a")
    again = launch(ec2, 2, ClientToken="a")
    assert [row["InstanceId"] for row in first] == [row["InstanceId"] for row in again]
    assert (first[0]["State"]["Name"], again[0]["State"]["Name"]) == ("pending", "running")
    assert code(launch, ec2, 3, ClientToken="a") == "IdempotentParameterMismatch"
    assert len(every(ec2, "describe_instances", "Reservations")[0]) == 1
    assert code(launch, ec2, ClientToken="x" * 65) == "InvalidParameterValue"
    ec2.terminate_instances(InstanceIds=[row["InstanceId"] for row in first])
    assert code(launch, ec2, 2, ClientToken="a") == "IdempotentInstanceTerminated"


def test_instances_are_found_by_their_token(ec2: Any) -> None:
    name = one(ec2, ClientToken="mine")
    one(ec2, ClientToken="other")

    def by(token: str) -> list[str]:
        rows = ec2.describe_instances(Filters=[{"Name": "client-token", "Values": [token]}])["Reservations"]
        return [each["InstanceId"] for row in rows for each in row["Instances"]]

    assert by("mine") == [name]
    assert by("none") == []


def test_a_region_has_its_own_instances_tokens_and_images(aws: Lab, ec2: Any) -> None:
    west = aws.client(region="us-west-2")
    theirs = west.describe_images()["Images"]
    assert AMI not in {row["ImageId"] for row in theirs}
    assert code(launch, west) == "InvalidAMIID.NotFound"
    one(ec2, ClientToken="a")
    one(west, ClientToken="a", ImageId=theirs[0]["ImageId"])
    assert {row["region"] for row in aws.things("instance")} == {"us-east-1", "us-west-2"}
    assert code(aws.client(region="us-nowhere-9").describe_instances) == "AuthFailure"
    west.close()


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"ImageId": "ami-0123456789abcdef0"}, "InvalidAMIID.NotFound"),
        ({"ImageId": "ubuntu"}, "InvalidAMIID.Malformed"),
        ({"InstanceType": "t99.huge"}, "InvalidParameterValue"),
        ({"InstanceType": "t4g.micro"}, "InvalidParameterValue"),
        ({"ImageId": ARM}, "InvalidParameterValue"),
        ({"KeyName": "none"}, "InvalidKeyPair.NotFound"),
        ({"SecurityGroupIds": ["sg-0123456789abcdef0"]}, "InvalidGroup.NotFound"),
        ({"UserData": "x" * 16385}, "InvalidParameterValue"),
        ({"MinCount": 2, "MaxCount": 1}, "InvalidParameterValue"),
        ({"MinCount": 1, "MaxCount": 1001}, "InstanceLimitExceeded"),
        ({"HibernationOptions": {"Configured": True}}, "UnsupportedHibernationConfiguration"),
    ],
)
def test_what_cannot_be_launched_is_refused_and_nothing_is_made(
    aws: Lab, ec2: Any, wrong: dict[str, Any], expected: str
) -> None:
    assert code(launch, ec2, **wrong) == expected
    assert aws.things() == []


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"k" * 128: ""}, "InvalidParameterValue"),
        ({"k": "v" * 257}, "InvalidParameterValue"),
        ({"aws:k": ""}, "InvalidParameterValue"),
        ({f"k{number}": "" for number in range(51)}, "TagLimitExceeded"),
    ],
)
def test_tags_have_bounds(ec2: Any, tags: dict[str, str], expected: str) -> None:
    listed = [{"Key": key, "Value": value} for key, value in tags.items()]
    assert code(launch, ec2, TagSpecifications=[{"ResourceType": "instance", "Tags": listed}]) == expected
    assert code(ec2.create_tags, Resources=[one(ec2)], Tags=listed) == expected


def test_only_what_is_there_can_be_tagged(ec2: Any) -> None:
    tags = [{"Key": "a", "Value": "b"}]
    assert code(ec2.create_tags, Resources=["i-0123456789abcdef0"], Tags=tags) == "InvalidInstanceID.NotFound"
    assert code(ec2.create_tags, Resources=["vol-0123456789abcdef0"], Tags=tags) == "InvalidVolume.NotFound"


def test_as_many_start_as_there_is_room_for(aws: Lab, ec2: Any) -> None:
    aws.change(capacity=4)
    assert len(launch(ec2, MinCount=2, MaxCount=3)) == 3
    assert len(launch(ec2, MinCount=1, MaxCount=3)) == 1
    assert code(launch, ec2) == "InsufficientInstanceCapacity"


def test_the_root_disk_is_that_of_the_image(aws: Lab, ec2: Any) -> None:
    name = one(ec2, ImageId=next(row["ami_id"] for row in images.few() if "debian" in row["name"]))
    (volume,) = ec2.describe_volumes()["Volumes"]
    assert (volume["Attachments"][0]["Device"], volume["Size"], volume["VolumeType"]) == ("/dev/xvda", 8, "gp3")
    ec2.terminate_instances(InstanceIds=[name])
    assert aws.things("volume") == []


def test_changes_take_time(aws: Lab, ec2: Any) -> None:
    aws.change(boot_seconds=0.4, stop_seconds=0.4, delete_seconds=0.4, linger_seconds=0.4)
    name = one(ec2)

    def passes(*states: str) -> None:
        for expected in states:
            end = time.monotonic() + 10
            while state(ec2, name) != expected:
                assert time.monotonic() < end, expected

    assert state(ec2, name) == "pending"
    assert code(ec2.stop_instances, InstanceIds=[name]) == "IncorrectInstanceState"
    passes("running")
    ec2.stop_instances(InstanceIds=[name])
    assert state(ec2, name) == "stopping"
    assert code(ec2.start_instances, InstanceIds=[name]) == "IncorrectInstanceState"
    passes("stopped")
    ec2.start_instances(InstanceIds=[name])
    passes("pending", "running")
    ec2.terminate_instances(InstanceIds=[name])
    passes("shutting-down", "terminated")
    with pytest.raises(ClientError, match=r"InvalidInstanceID\.NotFound"):
        passes("never")


def test_new_instances_may_appear_late(aws: Lab, ec2: Any) -> None:
    aws.change(visible_seconds=0.5)
    name = one(ec2, ClientToken="a")
    assert code(state, ec2, name) == "InvalidInstanceID.NotFound"
    assert one(ec2, ClientToken="a") == name
    end = time.monotonic() + 10
    while not ec2.describe_instances()["Reservations"]:
        assert time.monotonic() < end
    assert state(ec2, name) == "running"


def test_what_is_terminated_stays_so(ec2: Any) -> None:
    name = one(ec2)
    ec2.terminate_instances(InstanceIds=[name])
    ec2.terminate_instances(InstanceIds=[name])
    for act in (ec2.start_instances, ec2.stop_instances):
        assert code(act, InstanceIds=[name]) == "IncorrectInstanceState"
    ec2.reboot_instances(InstanceIds=[name])
    assert state(ec2, name) == "terminated"


def test_stop_and_start_twice_are_no_errors_and_reboot_needs_power(ec2: Any) -> None:
    name = one(ec2)
    for _ in range(2):
        ec2.stop_instances(InstanceIds=[name])
        assert state(ec2, name) == "stopped"
    assert code(ec2.reboot_instances, InstanceIds=[name]) == "IncorrectInstanceState"
    for _ in range(2):
        ec2.start_instances(InstanceIds=[name])
        assert state(ec2, name) == "running"


def test_a_spot_instance_cannot_be_stopped(ec2: Any) -> None:
    name = one(ec2, InstanceMarketOptions={"MarketType": "spot"})
    assert code(ec2.stop_instances, InstanceIds=[name]) == "UnsupportedOperation"


def test_only_what_was_made_for_it_hibernates(ec2: Any) -> None:
    plain = one(ec2)
    assert code(ec2.stop_instances, InstanceIds=[plain], Hibernate=True) == "UnsupportedOperation"
    disk = [{"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 10, "Encrypted": True}}]
    name = one(ec2, InstanceType="m5.large", HibernationOptions={"Configured": True}, BlockDeviceMappings=disk)
    ec2.stop_instances(InstanceIds=[name], Hibernate=True)
    row = ec2.describe_instances(InstanceIds=[name])["Reservations"][0]["Instances"][0]
    assert row["StateReason"]["Code"] == "Client.UserInitiatedHibernate"


def test_type_and_user_data_change_only_when_stopped(ec2: Any) -> None:
    name = one(ec2)
    bigger = {"InstanceId": name, "InstanceType": {"Value": "t3.small"}}
    data = {"InstanceId": name, "UserData": {"Value": b"#!/bin/sh\n"}}
    assert code(ec2.modify_instance_attribute, **bigger) == "IncorrectInstanceState"
    assert code(ec2.modify_instance_attribute, **data) == "IncorrectInstanceState"
    ec2.stop_instances(InstanceIds=[name])
    ec2.modify_instance_attribute(**bigger)
    ec2.modify_instance_attribute(**data)
    row = ec2.describe_instances(InstanceIds=[name])["Reservations"][0]["Instances"][0]
    assert row["InstanceType"] == "t3.small"
    kept = ec2.describe_instance_attribute(InstanceId=name, Attribute="userData")["UserData"]["Value"]
    assert base64.b64decode(kept) == b"#!/bin/sh\n"
    for wrong, expected in (("t9.x", "InvalidInstanceAttributeValue"), ("t4g.micro", "InvalidParameterCombination")):
        act = ec2.modify_instance_attribute
        assert code(act, InstanceId=name, InstanceType={"Value": wrong}) == expected


@pytest.mark.parametrize(("behaviour", "expected"), [("stop", "stopped"), ("terminate", "terminated")])
def test_a_guest_that_switches_itself_off_ends_as_was_said(aws: Lab, ec2: Any, behaviour: str, expected: str) -> None:
    name = one(ec2, InstanceInitiatedShutdownBehavior="stop" if expected == "terminated" else "terminate")
    ec2.modify_instance_attribute(InstanceId=name, InstanceInitiatedShutdownBehavior={"Value": behaviour})
    assert aws.power_off(name) == expected
    assert state(ec2, name) == expected


def test_protection_holds(ec2: Any) -> None:
    name = one(ec2)
    ec2.modify_instance_attribute(InstanceId=name, DisableApiTermination={"Value": True})
    assert code(ec2.terminate_instances, InstanceIds=[name]) == "OperationNotPermitted"


def test_a_volume_is_made_once_and_attached_where_it_fits(ec2: Any) -> None:
    zone = {"AvailabilityZone": "us-east-1a", "Size": 1}
    volume = ec2.create_volume(**zone, ClientToken="v")["VolumeId"]
    assert ec2.create_volume(**zone, ClientToken="v")["VolumeId"] == volume
    assert code(ec2.create_volume, **{**zone, "Size": 2}, ClientToken="v") == "IdempotentParameterMismatch"
    elsewhere = ec2.create_volume(AvailabilityZone="us-east-1b", Size=1)["VolumeId"]
    first, second = (one(ec2, Placement={"AvailabilityZone": "us-east-1a"}) for _ in range(2))
    at = {"InstanceId": first, "Device": "/dev/sdf"}
    assert code(ec2.attach_volume, VolumeId=elsewhere, **at) == "InvalidVolume.ZoneMismatch"
    ec2.attach_volume(VolumeId=volume, **at)
    assert code(ec2.attach_volume, VolumeId=volume, InstanceId=second, Device="/dev/sdf") == "VolumeInUse"
    another = ec2.create_volume(**zone)["VolumeId"]
    assert code(ec2.attach_volume, VolumeId=another, **at) == "InvalidParameterValue"
    assert code(ec2.delete_volume, VolumeId=volume) == "VolumeInUse"
    assert code(ec2.detach_volume, VolumeId=volume, InstanceId=second) == "InvalidAttachment.NotFound"
    ec2.detach_volume(VolumeId=volume)
    assert code(ec2.detach_volume, VolumeId=volume) == "IncorrectState"
    ec2.delete_volume(VolumeId=volume)
    assert code(ec2.delete_volume, VolumeId=volume) == "InvalidVolume.NotFound"


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [({"Size": 0}, "InvalidParameterValue"), ({"AvailabilityZone": "us-east-1x"}, "InvalidZone.NotFound")],
)
def test_volumes_that_cannot_be(ec2: Any, wrong: dict[str, Any], expected: str) -> None:
    assert code(ec2.create_volume, **{"AvailabilityZone": "us-east-1a", "Size": 1, **wrong}) == expected


def test_keys_are_looked_at(ec2: Any) -> None:
    ec2.import_key_pair(KeyName="mine", PublicKeyMaterial=KEY)
    assert code(ec2.import_key_pair, KeyName="mine", PublicKeyMaterial=KEY) == "InvalidKeyPair.Duplicate"
    assert code(ec2.import_key_pair, KeyName="bad", PublicKeyMaterial=b"no key") == "InvalidKey.Format"
    assert one(ec2, KeyName="mine")


def test_a_group_in_use_stays(ec2: Any) -> None:
    group = ec2.create_security_group(GroupName="g", Description="d")["GroupId"]
    name = one(ec2, SecurityGroupIds=[group])
    assert code(ec2.delete_security_group, GroupId=group) == "DependencyViolation"
    ec2.terminate_instances(InstanceIds=[name])
    ec2.delete_security_group(GroupId=group)


def test_an_image_has_one_name_and_its_snapshot_the_tags(aws: Lab, ec2: Any) -> None:
    tags = [{"ResourceType": kind, "Tags": [{"Key": "k", "Value": kind}]} for kind in ("image", "snapshot")]
    make = {"InstanceId": one(ec2), "Name": "mine", "TagSpecifications": tags}
    ec2.create_image(**make)
    assert code(ec2.create_image, **make) == "InvalidAMIName.Duplicate"
    assert [(row["kind"], row["tags"]) for row in aws.things("snapshot", "image")] == [
        ("snapshot", {"k": "snapshot"}), ("image", {"k": "image"}),
    ]  # fmt: skip


def test_a_root_disk_is_replaced_or_not(aws: Lab, ec2: Any) -> None:
    name = one(ec2)
    (before,) = aws.things("volume")
    task = ec2.create_replace_root_volume_task(InstanceId=name, DeleteReplacedRootVolume=True)
    wanted = [task["ReplaceRootVolumeTask"]["ReplaceRootVolumeTaskId"]]
    told = ec2.describe_replace_root_volume_tasks(ReplaceRootVolumeTaskIds=wanted)["ReplaceRootVolumeTasks"]
    assert (told[0]["TaskState"], told[0]["InstanceId"]) == ("succeeded", name)
    (after,) = aws.things("volume")
    assert (after["id"] != before["id"], after["instance"]) == (True, name)
    aws.change(replace_root="refuse")
    assert code(ec2.create_replace_root_volume_task, InstanceId=name) == "UnsupportedOperation"


@pytest.mark.parametrize(
    ("operation", "key", "size", "rows"),
    [
        ("describe_images", "Images", 5, len(images.few())),
        ("describe_volumes", "Volumes", 3, 7),
        ("describe_instances", "Reservations", 5, 7),
        ("describe_instance_types", "InstanceTypes", 100, 0),
    ],
)
def test_lists_come_in_pages(ec2: Any, operation: str, key: str, size: int, rows: int) -> None:
    for _ in range(7 if key in ("Volumes", "Reservations") else 0):
        one(ec2)
    found, pages = every(ec2, operation, key, PaginationConfig={"PageSize": size})
    rows = rows or len(found)
    assert len(found) == rows
    assert pages == -(-rows // size) > 1
    assert len({json.dumps(row, default=str) for row in found}) == rows


def test_types_come_a_hundred_at_a_time_unasked(ec2: Any) -> None:
    assert len(ec2.describe_instance_types()["InstanceTypes"]) == 100
    assert code(ec2.describe_instance_types, MaxResults=101) == "InvalidParameterValue"
    assert code(ec2.describe_images, NextToken="nonsense") == "InvalidPaginationToken"


def test_images_are_found_by_date(ec2: Any) -> None:
    dates = [{"Name": "creation-date", "Values": ["2024-09-*"]}]
    found = ec2.describe_images(Filters=dates)["Images"]
    assert len(found) == len(images.few()) // 3
    narrow = [*dates, {"Name": "name", "Values": ["*noble*amd64*"]}]
    assert len(ec2.describe_images(Filters=narrow)["Images"]) == 1


def test_public_parameters_name_the_newest_image(aws: Lab, ec2: Any) -> None:
    ssm = aws.client("ssm")
    path = "/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id"
    ami = ssm.get_parameter(Name=path)["Parameter"]["Value"]
    (image,) = ec2.describe_images(ImageIds=[ami])["Images"]
    assert "noble-24.04-amd64-server-20250610" in image["Name"]
    assert code(ssm.get_parameter, Name=path.replace("24.04", "11.11")) == "ParameterNotFound"
    answer = ssm.get_parameters(Names=[path, "/aws/service/none"])
    assert (len(answer["Parameters"]), answer["InvalidParameters"]) == (1, ["/aws/service/none"])
    ssm.close()


def test_prices_are_where_amazon_has_them(aws: Lab) -> None:
    prices = aws.client("pricing")
    wanted = {"instanceType": "t3.micro", "regionCode": "eu-west-1", "operatingSystem": "Linux"}
    filters = [{"Type": "TERM_MATCH", "Field": key, "Value": value} for key, value in wanted.items()]
    (text,) = prices.get_products(ServiceCode="AmazonEC2", Filters=filters)["PriceList"]
    (term,) = json.loads(text)["terms"]["OnDemand"].values()
    (price,) = term["priceDimensions"].values()
    assert float(price["pricePerUnit"]["USD"]) == pytest.approx(0.01144)
    found, pages = every(prices, "get_products", "PriceList", ServiceCode="AmazonEC2", Filters=[], MaxResults=10)
    assert len(found) > 10
    assert pages > 1
    elsewhere = aws.client("pricing", "us-west-2")
    assert code(elsewhere.get_products, ServiceCode="AmazonEC2") == "InvalidSignatureException"
    spot = aws.client().describe_spot_price_history(InstanceTypes=["t3.micro"])["SpotPriceHistory"]
    assert {row["InstanceType"] for row in spot} == {"t3.micro"}
    assert 0 < float(spot[0]["SpotPrice"]) < 0.0104


def test_quotas_are_listed(aws: Lab) -> None:
    client = aws.client("service-quotas")
    found, pages = every(client, "list_service_quotas", "Quotas", ServiceCode="ec2", PaginationConfig={"PageSize": 2})
    assert pages == 2
    assert {row["QuotaCode"] for row in found} >= {"L-1216C47A", "L-0263D0A3"}
    assert client.get_service_quota(ServiceCode="ec2", QuotaCode="L-1216C47A")["Quota"]["Value"] == 32
    assert code(client.list_service_quotas, ServiceCode="none") == "NoSuchResourceException"


def test_every_running_instance_is_measured(aws: Lab, ec2: Any) -> None:
    name = one(ec2)
    client = aws.client("cloudwatch")
    metric = {
        "Namespace": "AWS/EC2", "MetricName": "CPUUtilization", "Dimensions": [{"Name": "InstanceId", "Value": name}],
    }  # fmt: skip
    query = {"Id": "m0", "MetricStat": {"Metric": metric, "Period": 300, "Stat": "Average"}}
    now = time.time()
    told = client.get_metric_data(MetricDataQueries=[query], StartTime=int(now - 1200), EndTime=int(now + 60))
    client.close()
    assert told["MetricDataResults"][0]["Values"] == [7.5]


def test_only_the_key_that_is_set_is_accepted(aws: Lab, ec2: Any) -> None:
    aws.change(access_key="SOMEONE")
    assert code(ec2.describe_regions) == "AuthFailure"
    assert code(aws.client("sts").get_caller_identity) == "InvalidClientTokenId"


@pytest.mark.parametrize(
    ("fault", "expected", "status"),
    [
        ("throttled", "RequestLimitExceeded", 503),
        ("expired", "RequestExpired", 400),
        ("denied", "UnauthorizedOperation", 403),
        ("unknown_key", "AuthFailure", 401),
        ("no_capacity", "InsufficientInstanceCapacity", 500),
        ("quota", "VcpuLimitExceeded", 400),
        ("error500", "InternalError", 500),
        ("gateway", "502", 502),
    ],
)
def test_a_fault_that_refuses_does_nothing_and_strikes_as_often_as_said(
    aws: Lab, ec2: Any, fault: str, expected: str, status: int
) -> None:
    aws.fail(fault, "RunInstances", times=2)
    for _ in range(2):
        with pytest.raises(ClientError) as refused:
            launch(ec2)
        assert refused.value.response["Error"]["Code"] == expected
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert aws.things() == []
    assert launch(ec2)


@pytest.mark.parametrize(
    ("fault", "error", "made"),
    [("lost", ConnectionClosedError, 1), ("malformed", ResponseParserError, 1), ("down", ConnectionClosedError, 0)],
)
def test_a_fault_of_the_way_back_has_done_it_and_one_of_the_way_there_has_not(
    aws: Lab, ec2: Any, fault: str, error: type[Exception], made: int
) -> None:
    aws.fail(fault, "RunInstances")
    with pytest.raises(error):
        launch(ec2)
    assert len(aws.things("instance")) == made


def test_a_fault_may_spare_calls_and_other_regions_and_be_of_ones_own(aws: Lab, ec2: Any) -> None:
    aws.fail("code", "Describe*", region="us-east-1", skip=1, code="Odd.Code", message="so it is", status=418, times=0)
    ec2.describe_instances()
    assert code(ec2.describe_volumes) == "Odd.Code"
    assert code(ec2.describe_instances) == "Odd.Code"
    aws.client(region="eu-west-1").describe_instances()
    aws.heal()
    ec2.describe_instances()


@pytest.mark.parametrize("fault", ["slow", "late"])
def test_an_answer_can_take_too_long(aws: Lab, fault: str) -> None:
    aws.fail(fault, "RunInstances", seconds=1.5)
    from botocore.config import Config
    from botocore.exceptions import ReadTimeoutError

    keys = {name.lower(): value for name, value in aws.credentials.items()}
    hasty = boto3.session.Session(**keys).client(
        "ec2", region_name="us-east-1", endpoint_url=aws.endpoint,
        config=Config(read_timeout=0.5, retries={"total_max_attempts": 1}),
    )  # fmt: skip
    with pytest.raises(ReadTimeoutError):
        launch(hasty)
    if fault == "slow":
        assert aws.things("instance") == []
    deadline = time.monotonic() + 20
    while not aws.things("instance") and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(aws.things("instance")) == 1, "the request is carried out all the same"
    hasty.close()


def test_calls_are_counted_with_what_became_of_them(aws: Lab, ec2: Any) -> None:
    aws.forget_calls()
    aws.fail("throttled", "RunInstances")
    code(launch, ec2)
    launch(ec2)
    assert [(call["status"], call["fault"]) for call in aws.calls("RunInstances")] == [(503, "throttled"), (200, "")]


def test_what_is_not_pretended_says_so(ec2: Any) -> None:
    assert code(ec2.get_console_screenshot, InstanceId=one(ec2)) == "UnknownOperationException"


def test_wrong_faults_and_settings_are_refused(aws: Lab) -> None:
    from urllib.error import HTTPError

    for act in (lambda: aws.fail("nonsense"), lambda: aws.change(nonsense=1)):
        with pytest.raises(HTTPError) as refused:
            act()
        refused.value.close()


def test_it_ends_with_its_user() -> None:
    with running() as lab:
        pid = lab.pid
        assert lab.client().describe_regions()["Regions"]
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_the_one_of_the_product_is_plain_moto() -> None:
    with Emulator() as emulator:
        keys = {name.lower(): value for name, value in emulator.credentials.items()}
        client = boto3.session.Session(**keys).client("ec2", region_name="us-east-1", endpoint_url=emulator.endpoint)
        assert client.describe_regions()["Regions"]
        client.close()
        pid = emulator.pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_an_elastic_address_stays_over_stop_and_start_and_leads_nowhere_in_the_end(ec2: Any) -> None:
    name, address = one(ec2), ec2.allocate_address(Domain="vpc")
    ec2.associate_address(AllocationId=address["AllocationId"], InstanceId=name)
    for change in (ec2.stop_instances, ec2.start_instances):
        change(InstanceIds=[name])
        (row,) = ec2.describe_instances(InstanceIds=[name])["Reservations"][0]["Instances"]
        assert row["NetworkInterfaces"][0]["Association"]["PublicIp"] == address["PublicIp"]
    ec2.terminate_instances(InstanceIds=[name])
    (row,) = ec2.describe_addresses()["Addresses"]
    assert not row.get("AssociationId")
    assert not row.get("InstanceId")
