"""What an OpenStack offers as nouns: images, flavors and their prices, zones, limits."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.clouds.openstack.answers import Told, opened, refused

from cloudms.clouds.base import Prices
from cloudms.clouds.openstack import guess
from cloudms.clouds.openstack.flavors import Flavoring, read_prices
from cloudms.clouds.openstack.images import Images, disks_of
from cloudms.clouds.openstack.locations import Placing
from cloudms.clouds.openstack.quotas import Limits
from cloudms.errors import Conflict, Invalid, NotFound
from cloudms.model import Image


@pytest.mark.parametrize(
    ("row", "system", "login", "arch"),
    [
        ({"name": "Ubuntu 22.04 LTS"}, "ubuntu 22.04", "ubuntu", ""),
        ({"name": "debian-12-genericcloud-amd64"}, "debian 12", "debian", "x86_64"),
        ({"name": "CC-CentOS9-Stream"}, "centos 9", "cloud-user", ""),
        ({"name": "CentOS-Stream-8"}, "centos 8", "centos", ""),
        ({"name": "CentOS-7-x86_64-GenericCloud"}, "centos 7", "centos", "x86_64"),
        ({"name": "Rocky Linux 9"}, "rocky 9", "rocky", ""),
        ({"name": "Rocky-9-GenericCloud.latest.aarch64"}, "rocky 9", "rocky", "arm64"),
        ({"name": "Fedora-Cloud-Base-40-1.14"}, "fedora 40", "fedora", ""),
        ({"name": "RHEL 9.4"}, "rhel 9.4", "cloud-user", ""),
        ({"name": "openSUSE-Leap-15.6"}, "suse 15.6", "opensuse", ""),
        ({"name": "SLES-15-SP5"}, "suse 15-sp5", "sles", ""),
        ({"name": "cirros-0.6.2-x86_64-disk"}, "cirros 0.6", "cirros", "x86_64"),
        ({"name": "mine", "os_distro": "ubuntu", "os_version": "24.04"}, "ubuntu 24.04", "ubuntu", ""),
        ({"name": "mine", "os_distro": "sles", "architecture": "aarch64"}, "suse", "sles", "arm64"),
        ({"name": "mine", "os_distro": "plan9", "os_version": "4"}, "plan9 4", "", ""),
        ({"name": "debian-12", "os_admin_user": "root"}, "debian 12", "root", ""),
        ({"name": "mine", "os_type": "windows"}, "windows", "Administrator", ""),
        ({"name": "blank"}, "", "", ""),
        ({}, "", "", ""),
    ],
)
def test_system_login_and_processor_follow_from_properties_and_name(
    row: dict[str, Any], system: str, login: str, arch: str
) -> None:
    assert (*guess.system(row), guess.arch(row)) == (system, login, arch)


IMAGES = [
    {"id": "i1", "name": "debian-12", "status": "active", "size": 5, "visibility": "public", "owner": "admin",
     "created_at": "2026-01-01T00:00:00Z", "os_hash_algo": "sha512", "os_hash_value": "ab", "tags": ["golden"]},
    {"id": "i2", "name": "debian-12", "status": "active", "size": 6, "visibility": "private",
     "created_at": "2026-02-01T00:00:00Z"},
    {"id": "i3", "name": "debian-12", "status": "queued", "size": None, "created_at": "2026-03-01T00:00:00Z"},
    {"id": "i4", "name": "old", "status": "pending_delete"},
    {"id": "i5", "status": "somehow"},
]  # fmt: skip


def images(_body: Any, query: dict[str, list[str]]) -> dict[str, Any]:
    rows = [row for row in IMAGES if query.get("name", [row.get("name")]) == [row.get("name")]]
    begin = next((at + 1 for at, row in enumerate(rows) if row["id"] == query.get("marker", [""])[0]), 0)
    page = rows[begin : begin + 2]
    return {"images": page, **({"next": f"/v2/images?marker={page[-1]['id']}"} if len(rows) > begin + 2 else {})}


def test_images_are_listed_to_the_last_page() -> None:
    found = {image.id: image for image in opened(Images, Told({"image GET /images": images})).list_images()}
    assert list(found) == ["i1", "i2", "i3", "i5"]
    first = found["i1"]
    assert (first.name, first.size, first.state, first.public, first.digest) == (
        "debian-12", 5, "active", True, "sha512:ab"
    )  # fmt: skip
    assert (first.login, first.created, dict(first.labels)) == ("debian", 1767225600.0, {"golden": ""})
    odd = found["i5"]
    assert (found["i2"].public, odd.public, odd.name, odd.state) == (False, None, "i5", "somehow")


def test_of_images_with_one_name_the_newest_that_is_usable_is_taken() -> None:
    cloud = opened(Images, Told({"image GET /images": images, "image GET /images/i1": IMAGES[0]}))
    assert cloud.find_image("debian-12").id == "i2"
    assert cloud.find_image("i1", region="R1/nova").id == "i1"
    with pytest.raises(NotFound, match="no image 'none'"):
        cloud.find_image("none")


def test_an_image_is_deleted_unless_vms_stand_on_it() -> None:
    servers = {"servers": [{"name": "web", "image": {"id": "i1"}}, {"name": "db", "image": ""}]}
    rows = {"image GET /images/i1": IMAGES[0], "image DELETE /images/i1": {}}
    cloud = opened(Images, Told({**rows, "compute GET /servers/detail": servers}))
    with pytest.raises(Conflict, match="web stand on"):
        cloud.delete_image(Image(name="debian-12", id="i1", region="R1"))
    link = Told({**rows, "compute GET /servers/detail": {"servers": []}})
    cloud = opened(Images, link)
    cloud.delete_image(Image(name="debian-12", id="i1"))
    cloud.delete_image(Image(name="none", id="no-such-image"))
    assert [said for said, *_rest in link.asked if "DELETE" in said] == ["image DELETE /images/i1"]
    locked = {**rows, "image GET /images/i1": {**IMAGES[0], "protected": True}, "compute GET /servers/detail": {}}
    with pytest.raises(Conflict, match="protected"):
        opened(Images, Told(locked)).delete_image(Image(name="debian-12", id="i1"))


def test_the_disks_of_an_image_are_snapshots() -> None:
    told = '[{"snapshot_id": "d1"}, {"volume_id": "v"}, {"snapshot_id": null}, 5]'
    assert disks_of({"block_device_mapping": told}) == ["d1"]
    for odd in (None, "", "{", "5", 5, "[]", "{}"):
        assert disks_of({"block_device_mapping": odd}) == []


FLAVORS = {"flavors": [
    {"id": "1", "name": "m1.tiny", "vcpus": 1, "ram": 512, "disk": 1, "swap": "", "OS-FLV-EXT-DATA:ephemeral": 0},
    {"id": "2", "name": "m1.small", "vcpus": 2, "ram": 2048, "disk": 20, "swap": 256, "OS-FLV-EXT-DATA:ephemeral": 5,
     "os-flavor-access:is_public": False},
    {"id": "3", "name": "gpu.big"},
]}  # fmt: skip


def test_flavors_and_what_tells_them_apart() -> None:
    tiny, small, big = opened(Flavoring, Told({"compute GET /flavors/detail": FLAVORS})).list_flavors()
    assert (tiny.name, tiny.id, tiny.vcpus, tiny.memory_mib, tiny.disk_gib) == ("m1.tiny", "1", 1, 512, 1)
    assert dict(small.labels) == {"ephemeral": "5 GiB", "swap": "256 MiB", "public": "no"}
    assert (big.vcpus, big.price_per_hour, dict(tiny.labels)) == (0, None, {})


def test_flavors_of_the_setting_only() -> None:
    cloud = opened(Flavoring, Told({"compute GET /flavors/detail": FLAVORS}, flavors=("m1.*",)))
    assert [each.name for each in cloud.list_flavors()] == ["m1.tiny", "m1.small"]
    assert cloud.find_flavor("3").name == "gpu.big"
    with pytest.raises(NotFound, match="no flavor 'm9'"):
        cloud.find_flavor("m9")


def test_prices_come_from_the_configuration() -> None:
    link = Told({"compute GET /flavors/detail": FLAVORS})
    cloud = opened(Flavoring, link, prices={"m1.small": "0.05"}, currency="eur")
    asked = cloud.price("m1.small")
    assert (asked.price_per_hour, asked.currency, asked.price_fetched) == (0.05, "EUR", link.clock.now())
    assert cloud.supports(Prices) == ""
    assert {each.name: each.price_per_hour for each in cloud.list_flavors()}["m1.small"] == 0.05
    with pytest.raises(NotFound, match="nothing of the flavor"):
        cloud.price("m1.tiny")
    with pytest.raises(NotFound, match="no flavor"):
        cloud.price("no-such-flavor")
    assert "its setting `prices`" in opened(Flavoring, link).supports(Prices)


def test_other_things_have_prices_too() -> None:
    cloud = opened(Flavoring, Told({}), prices={"address": 0.004, "volume": 0.0001})
    assert (cloud.thing_price("address").per_hour, cloud.thing_price("volume", "R1").currency) == (0.004, "USD")
    with pytest.raises(NotFound, match="nothing of volume_snapshot"):
        cloud.thing_price("volume_snapshot")


@pytest.mark.parametrize("wrong", [5, "m1=2", ["m1"], {"m1": "much"}, {"m1": -1}, {"m1": None}, {"m1": "inf"}])
def test_prices_are_numbers(wrong: Any) -> None:
    with pytest.raises(Invalid, match="price"):
        read_prices(wrong)


def test_zones_are_named_as_a_boot_takes_them() -> None:
    zones = {"availabilityZoneInfo": [
        {"zoneName": "nova", "zoneState": {"available": True}}, {"zoneName": "b", "zoneState": {"available": False}}
    ]}  # fmt: skip
    found = list(opened(Placing, Told({"compute GET /os-availability-zone": zones})).list_locations())
    assert [(each.name, each.region, each.state) for each in found] == [
        ("R1/b", "R1", "unavailable"), ("R1/nova", "R1", "available"),
    ]  # fmt: skip


LIMITS = {
    "compute GET /limits": {"limits": {"absolute": {
        "maxTotalInstances": -1, "totalInstancesUsed": 3, "maxTotalCores": 20, "totalCoresUsed": 4,
        "maxTotalKeypairs": 100,
    }}},
    "network GET /quotas/p1/details": {"quota": {"floatingip": {"limit": 50, "used": 2, "reserved": 1}, "odd": 5}},
    "volume GET /limits": {"limits": {"absolute": {"maxTotalVolumeGigabytes": 1000, "totalGigabytesUsed": 7}}},
}  # fmt: skip


def test_limits_of_all_services_with_what_is_used() -> None:
    found = {each.name: (each.used, each.limit, each.unit) for each in opened(Limits, Told(LIMITS)).list_quotas()}
    assert found == {
        "instances": (3, None, "VMs"), "cores": (4, 20, "vCPUs"), "keypairs": (None, 100, "keys"),
        "floating ips": (3, 50, "addresses"), "volume gigabytes": (7, 1000, "GiB"),
    }  # fmt: skip


def test_a_service_that_is_not_there_has_no_limits() -> None:
    rows = {**LIMITS, "network GET .*": refused(403), "volume GET .*": refused(404)}
    del rows["network GET /quotas/p1/details"], rows["volume GET /limits"]
    assert {each.unit for each in opened(Limits, Told(rows)).list_quotas()} == {"VMs", "vCPUs", "keys"}
