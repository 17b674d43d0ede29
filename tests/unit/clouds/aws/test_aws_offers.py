"""Instance types, prices, limits, places and measurements as nouns, out of what AWS is documented to answer."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from cloudms.clouds.aws.addresses import lent
from cloudms.clouds.aws.flavors import facts, gib, wanted
from cloudms.clouds.aws.leftovers import KINDS, is_free
from cloudms.clouds.aws.locations import COUNTRIES, country
from cloudms.clouds.aws.metrics import latest
from cloudms.clouds.aws.prices import endpoint_region, per_hour
from cloudms.clouds.aws.quotas import families, family, short, vcpus_of
from cloudms.clouds.aws.volumes import attachments, zone_of

METAL = {
    "InstanceType": "p4d.24xlarge", "BareMetal": True, "HibernationSupported": False, "CurrentGeneration": False,
    "ProcessorInfo": {"SupportedArchitectures": ["i386", "x86_64"]},
    "GpuInfo": {"Gpus": [{"Count": 8, "Manufacturer": "NVIDIA", "Name": "A100"}]},
    "NetworkInfo": {"NetworkPerformance": "4x 100 Gigabit"},
}  # fmt: skip


def test_what_tells_types_apart_stands_in_labels() -> None:
    assert facts(METAL) == {
        "arch": "x86_64", "hibernation": "no", "network": "4x 100 Gigabit", "gpus": "8 NVIDIA A100", "metal": "yes",
        "generation": "previous",
    }  # fmt: skip
    assert facts({"HibernationSupported": True, "ProcessorInfo": {"SupportedArchitectures": ["i386"]}}) == {
        "arch": "i386", "hibernation": "yes",
    }  # fmt: skip


@pytest.mark.parametrize(("gigabytes", "expected"), [(None, 0), (0, 0), (75, 69), (474, 441), (8000, 7450)])
def test_disks_are_told_in_gib(gigabytes: Any, expected: int) -> None:
    assert gib(gigabytes) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [(None, []), ("", []), ("t3.*, m5.large", ["t3.*", "m5.large"]), (["c7g.*"], ["c7g.*"])]
)
def test_the_setting_flavors_is_a_list_or_text(value: Any, expected: list[str]) -> None:
    assert wanted(value) == expected


def product(price: str = "0.0104000000", unit: str = "Hrs", currency: str = "USD", **attributes: str) -> dict[str, Any]:
    rate = {"unit": unit, "pricePerUnit": {currency: price}, "description": "per On Demand Linux", "appliesTo": []}
    offer = {"priceDimensions": {"SKU.JRTCKXETXF.6YS6EN2CT7": rate}, "sku": "SKU", "termAttributes": {}}
    document = {
        "product": {"productFamily": "Compute Instance", "attributes": attributes, "sku": "SKU"},
        "serviceCode": "AmazonEC2",
        "terms": {"OnDemand": {"SKU.JRTCKXETXF": offer}, "Reserved": {"SKU.X": {"priceDimensions": {"R": rate}}}},
    }
    return dict(json.loads(json.dumps(document)))


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (product(), [(0.0104, "USD")]),
        (product(currency="CNY", price="0.0871"), [(0.0871, "CNY")]),
        (product(price="0.0000000000"), []),
        (product(unit="Quantity"), []),
        (product(marketoption="CapacityBlock"), []),
        (product(marketoption="OnDemand"), [(0.0104, "USD")]),
        ({"product": {}, "terms": {}}, []),
        ({}, []),
    ],
)
def test_the_price_of_an_hour_on_demand(row: dict[str, Any], expected: list[tuple[float, str]]) -> None:
    assert per_hour(row) == expected


@pytest.mark.parametrize(
    ("region", "asked"),
    [
        ("us-west-2", "us-east-1"), ("sa-east-1", "us-east-1"), ("eu-west-3", "eu-central-1"),
        ("il-central-1", "eu-central-1"), ("ap-southeast-2", "ap-south-1"), ("cn-north-1", "cn-northwest-1"),
    ],
)  # fmt: skip
def test_prices_are_asked_for_nearby(region: str, asked: str) -> None:
    assert endpoint_region(region) == asked


@pytest.mark.parametrize(
    ("group", "letters", "name"),
    [
        ("Standard (A, C, D, H, I, M, R, T, Z)", "a c d h i m r t z", "standard"),
        ("Standard", "a c d h i m r t z", "standard"),
        ("G and VT", "g vt", "g vt"),
        ("P", "p", "p"),
        ("Inf", "inf", "inf"),
        ("High Memory", "u", "high memory"),
    ],
)
def test_the_groups_of_families_that_share_a_limit(group: str, letters: str, name: str) -> None:
    assert families(group) == tuple(letters.split())
    assert short(group) == name


@pytest.mark.parametrize(
    ("flavor", "expected"),
    [("t3a.micro", "t"), ("g4dn.xlarge", "g"), ("vt1.3xlarge", "vt"), ("im4gn.large", "i"), ("is4gen.large", "i"),
     ("inf2.xlarge", "inf"), ("u-6tb1.metal", "u"), ("x2gd.large", "x"), ("", "")],
)  # fmt: skip
def test_the_family_of_a_type(flavor: str, expected: str) -> None:
    assert family(flavor) == expected


def test_the_processors_an_instance_tells() -> None:
    assert vcpus_of({"CpuOptions": {"CoreCount": 4, "ThreadsPerCore": 2}}) == 8
    assert vcpus_of({}) == 0


@pytest.mark.parametrize(
    ("region", "expected"),
    [("us-west-1", "USA"), ("us-gov-east-1", "USA"), ("eu-central-1", "Germany"), ("eu-central-2", "Switzerland"),
     ("ap-south-2", "India"), ("ap-northeast-2", "South Korea"), ("moon-base-1", "")],
)  # fmt: skip
def test_the_country_of_a_region(region: str, expected: str) -> None:
    assert country(region) == expected


def test_every_country_can_be_reached() -> None:
    assert all(country(name if name[-1].isdigit() else f"{name}-x-9") for name in COUNTRIES)


def test_the_newest_measurement_counts_in_whatever_order() -> None:
    old, new = datetime(2026, 1, 1, 12, 0, tzinfo=UTC), datetime(2026, 1, 1, 12, 5, tzinfo=UTC)
    assert latest({"Timestamps": [new, old], "Values": [7.5, 1]}) == (new.timestamp(), 7.5)
    assert latest({"Timestamps": [old, new], "Values": [1, 7.5]}) == (new.timestamp(), 7.5)
    assert latest({"Timestamps": [], "Values": []}) is None
    assert latest({}) is None


@pytest.mark.parametrize(
    ("row", "free"),
    [
        ({"PublicIp": "198.51.100.7"}, True),
        ({"AssociationId": "eipassoc-1"}, False),
        ({"State": "available", "Attachments": []}, True),
        ({"State": "in-use", "Attachments": [{"InstanceId": "i-1"}]}, False),
        ({"State": "deleting"}, False),
        ({"State": "completed"}, True),
        ({"Attachment": {"InstanceId": "i-1"}}, False),
        ({"GroupId": "sg-1"}, True),
    ],
)
def test_what_hangs_on_something_is_not_free(row: dict[str, Any], free: bool) -> None:
    assert is_free(row) is free


def test_the_filters_of_leftovers_are_those_of_ec2() -> None:
    assert {each.filter for each in KINDS.values()} == {
        "allocation-id", "volume-id", "snapshot-id", "group-id", "key-pair-id", "network-interface-id",
    }  # fmt: skip


def test_a_volume_on_its_way_off_is_not_attached() -> None:
    row = {"Attachments": [{"InstanceId": "i-1", "State": "detaching"}, {"InstanceId": "i-2", "State": "attached"}]}
    assert [each["InstanceId"] for each in attachments(row)] == ["i-2"]
    assert len(attachments(row, ("detaching", "attached"))) == 2
    assert attachments({}) == []
    assert zone_of({"Placement": {"AvailabilityZone": "us-east-1b"}}) == "us-east-1b"


def test_addresses_that_aws_lends_are_told_from_the_accounts_own() -> None:
    cards = [
        {"Association": {"PublicIp": "198.51.100.1", "IpOwnerId": "amazon"}},
        {"Association": {"PublicIp": "198.51.100.2", "IpOwnerId": "123456789012"}},
        {},
    ]
    assert lent({"NetworkInterfaces": cards}) == {"198.51.100.1"}
    assert lent({}) == set()
