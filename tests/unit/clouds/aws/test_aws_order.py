"""RunInstances as it is asked for: everything in one request, and the same request the same words."""

from __future__ import annotations

from typing import Any

import pytest

from cloudms.clouds.aws import firewall, order, tags
from cloudms.clouds.aws.choosing import alias, arch_of, login_of
from cloudms.clouds.aws.firstboot import FirstBoot
from cloudms.clouds.aws.order import Order
from cloudms.clouds.aws.settings import Settings
from cloudms.clouds.sshkeys import pair_name, same
from cloudms.errors import Invalid
from cloudms.model import VmSpec

IMAGE = {
    "ImageId": "ami-1", "RootDeviceName": "/dev/sda1", "RootDeviceType": "ebs",
    "BlockDeviceMappings": [{"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 8}}],
}  # fmt: skip


def asked(count: int = 1, settings: Settings | None = None, **more: Any) -> Order:
    spec: dict[str, Any] = {key: more.pop(key) for key in ("disk_gib", "labels", "options", "expires") if key in more}
    tokens = ["abc"] if count == 1 else [f"abc.{number + 1}" for number in range(count)]
    specs = tuple(
        VmSpec(name=f"web-{number}", token=token, flavor="t3.micro", owner="ada", **{"image": "debian-12", **spec})
        for number, token in enumerate(tokens)
    )
    values: dict[str, Any] = {
        "image": IMAGE,
        "first_boot": FirstBoot(text=""),
        "settings": settings or Settings(),
        **more,
    }
    return Order(specs=specs, region="us-east-1", flavor="t3.micro", owner="ada", **values)


def tagged(request: dict[str, Any]) -> dict[str, dict[str, str]]:
    return {each["ResourceType"]: tags.plain(each["Tags"]) for each in request["TagSpecifications"]}


def test_one_vm_in_the_words_of_run_instances() -> None:
    request = order.request(asked(zone="us-east-1b", groups=("sg-1",), key_pair="k", login="admin"))
    assert (request["MinCount"], request["MaxCount"], request["ClientToken"]) == (1, 1, "abc")
    assert request["MetadataOptions"] == {
        "HttpTokens": "required", "HttpEndpoint": "enabled", "InstanceMetadataTags": "enabled",
    }  # fmt: skip
    assert request["BlockDeviceMappings"] == [
        {"DeviceName": "/dev/sda1", "Ebs": {"DeleteOnTermination": True, "VolumeSize": 8, "Encrypted": True}}
    ]
    assert request["Placement"] == {"AvailabilityZone": "us-east-1b"}
    assert set(tagged(request)) == {"instance", "volume", "network-interface"}
    mark = tagged(request)["instance"]
    assert (mark["Name"], mark["cms:token"], mark["cms:owner"], mark["cms:image"], mark["cms:login"]) == (
        "web-0", "abc", "ada", "debian-12", "admin",
    )  # fmt: skip
    assert not {"UserData", "HibernationOptions", "InstanceMarketOptions", "IamInstanceProfile", "SubnetId"} & set(
        request
    )
    assert "InstanceInitiatedShutdownBehavior" not in request


def test_many_vms_are_one_request_with_one_set_of_tags() -> None:
    request = order.request(asked(100))
    assert (request["MinCount"], request["MaxCount"], request["ClientToken"]) == (100, 100, "abc")
    mark = tagged(request)["instance"]
    assert (mark["Name"], mark["cms:token"], mark["cms:batch"]) == ("web-[0-99]", "abc", "100")
    assert "cms:name" not in mark
    row = {"Tags": tags.listed(mark), "AmiLaunchIndex": 41}
    assert (tags.of(row).name, tags.of(row).token) == ("web-41", "abc.42")


def test_a_lease_with_a_timer_ends_the_instance_by_its_own_shutdown() -> None:
    request = order.request(asked(first_boot=FirstBoot(text="#cloud-boothook", timer=True), expires=1_800_000_000.0))
    assert request["InstanceInitiatedShutdownBehavior"] == "terminate"
    assert tagged(request)["instance"]["cms:timer"] == "yes"
    assert tagged(request)["instance"]["cms:expires"] == "1800000000"


def test_spot_hibernation_profile_and_an_open_metadata_service() -> None:
    settings = Settings(instance_profile="worker", imds="optional", encrypted=False)
    request = order.request(asked(settings=settings, spot=True, hibernate=2048))
    assert request["InstanceMarketOptions"]["MarketType"] == "spot"
    assert request["HibernationOptions"] == {"Configured": True}
    assert request["IamInstanceProfile"] == {"Name": "worker"}
    assert request["MetadataOptions"]["HttpTokens"] == "optional"
    (disk,) = request["BlockDeviceMappings"]
    assert disk["Ebs"] == {"DeleteOnTermination": True, "VolumeSize": 10, "Encrypted": True}
    arn = Settings(instance_profile="arn:aws:iam::1:instance-profile/x")
    assert "Arn" in order.request(asked(settings=arn))["IamInstanceProfile"]


def test_a_disk_is_as_large_as_asked_for_and_never_smaller_than_the_image() -> None:
    (disk,) = order.request(asked(disk_gib=20, settings=Settings(encrypted=False)))["BlockDeviceMappings"]
    assert disk["Ebs"] == {"DeleteOnTermination": True, "VolumeSize": 20}
    with pytest.raises(Invalid, match="too small"):
        order.request(asked(disk_gib=4))
    bare = {"ImageId": "ami-2", "RootDeviceType": "instance-store", "RootDeviceName": "/dev/sda1"}
    assert "BlockDeviceMappings" not in order.request(asked(image=bare))


def test_a_client_token_fits_into_64_characters_of_ascii() -> None:
    assert order.client_token("abc") == "abc"
    for odd in ("x" * 65, "é"):
        assert len(order.client_token(odd)) == 64
        assert order.client_token(odd) == order.client_token(odd)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ([80, 443], [(80, 80, "tcp"), (443, 443, "tcp")]),
        ("8000-8010, 53/udp", [(8000, 8010, "tcp"), (53, 53, "udp")]),
        ([22, 80], [(80, 80, "tcp")]), (None, []), ("", []), ("80, 80,80/tcp", [(80, 80, "tcp")]),
    ],
)  # fmt: skip
def test_ports_to_open(wanted: Any, found: list[tuple[int, int, str]]) -> None:
    assert [(port.low, port.high, port.protocol) for port in firewall.ports(wanted)] == found


@pytest.mark.parametrize("wanted", [[0], "70000", "90-80", "http", ["80/icmp"], list(range(1, 70))])
def test_what_is_no_port_is_refused(wanted: Any) -> None:
    with pytest.raises(Invalid):
        firewall.ports(wanted)


def test_groups_have_names_that_aws_takes() -> None:
    assert firewall.ssh_group("ada lovelace@lab") == "cms-ada-lovelace@lab"
    assert firewall.port_group("abc.3") == firewall.port_group("abc") == "cms-ports-abc"


def test_the_name_of_a_key_pair_follows_from_the_key() -> None:
    one, two = "ssh-ed25519 AAAA one", "ssh-ed25519 BBBB two"
    assert pair_name("my key", one) == pair_name("my key", "ssh-ed25519 AAAA other comment")
    assert pair_name("my key", one) != pair_name("my key", two)
    assert pair_name("my key", one).startswith("cms-my-key-")
    assert same(one, "ssh-ed25519 AAAA x")
    assert not same(one, two)


@pytest.mark.parametrize(
    ("flavor", "arch"),
    [("t3.micro", "x86_64"), ("t4g.nano", "arm64"), ("g4dn.xlarge", "x86_64"), ("m7gd.large", "arm64"),
     ("a1.medium", "arm64"), ("im4gn.large", "arm64"), ("u-6tb1.metal", "x86_64")],
)  # fmt: skip
def test_the_processor_of_a_flavor_by_its_name(flavor: str, arch: str) -> None:
    assert arch_of(flavor) == arch


def test_aliases_lead_to_public_parameters_and_patterns() -> None:
    debian, ubuntu, amazon = alias("debian-12"), alias("ubuntu-22.04"), alias("al2023")
    assert debian and ubuntu and amazon
    assert debian.parameter == "/aws/service/debian/release/12/latest/{deb}"
    assert "ebs-gp2" in ubuntu.parameter
    assert amazon.publisher == "amazon"
    assert alias("my-golden-image") is None
    assert (login_of("debian-12"), login_of("", "ubuntu/images/x"), login_of("custom")) == ("admin", "ubuntu", "")
