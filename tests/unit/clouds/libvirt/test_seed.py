"""The first-boot seed."""

from __future__ import annotations

import pytest
import yaml

from cloudms.clouds.libvirt import seed
from cloudms.clouds.libvirt.seed import Card


def test_meta_data_is_plain_lines() -> None:
    text = seed.meta_data("i-1", "web-1", ["ssh-ed25519 AAAA ada@lab", 'ssh-rsa BBBB a "b\\c"\n'])
    assert text == (
        "instance-id: i-1\nlocal-hostname: web-1\npublic-keys:\n"
        '  - "ssh-ed25519 AAAA ada@lab"\n  - "ssh-rsa BBBB a bc"\n'
    )
    assert yaml.safe_load(text)["public-keys"] == ["ssh-ed25519 AAAA ada@lab", "ssh-rsa BBBB a bc"]


def test_without_keys_there_is_no_list() -> None:
    assert yaml.safe_load(seed.meta_data("i", "h", [])) == {"instance-id": "i", "local-hostname": "h"}


def test_network_config_is_version_2() -> None:
    cards = [Card(mac="52:54:00:00:00:01"), Card(mac="52:54:00:00:00:02", address="10.77.1.2/16")]
    assert yaml.safe_load(seed.network_config(cards)) == {
        "version": 2,
        "ethernets": {
            "nic0": {"match": {"macaddress": "52:54:00:00:00:01"}, "dhcp4": True},
            "nic1": {"match": {"macaddress": "52:54:00:00:00:02"}, "addresses": ["10.77.1.2/16"]},
        },
    }


@pytest.mark.parametrize("cards", [[], [Card(mac="52:54:00:00:00:01")]])
def test_the_iso_holds_the_files(cards: list[Card]) -> None:
    data = "#cloud-config\nruncmd: [true]\n# é\n"
    files = seed.files(instance="i", hostname="h", keys=["k"], user_data=data, cards=cards)
    image = seed.iso(files)
    assert image[32808:32814] == b"cidata"
    assert seed.extract(image) == files
    assert files["user-data"].decode() == data
    assert set(files) == {"meta-data", "user-data"} | ({"network-config"} if cards else set())


def test_no_user_data_is_an_empty_cloud_config() -> None:
    files = seed.files(instance="i", hostname="h", keys=[])
    assert files["user-data"] == b"#cloud-config\n{}\n"


@pytest.mark.parametrize(
    ("name", "expected"), [("test00_vm09", "test00-vm09"), ("_x_", "x"), ("a" * 80, "a" * 63), ("web.lab", "web.lab")]
)
def test_hostname(name: str, expected: str) -> None:
    assert seed.hostname(name) == expected


def test_vendor_data_stand_beside_the_persons_own() -> None:
    files = seed.files(instance="i", hostname="h", keys=[], user_data="#!/bin/sh\n", vendor_data="#cloud-boothook\n")
    assert files["user-data"] == b"#!/bin/sh\n"
    assert seed.extract(seed.iso(files))[seed.VENDOR_DATA] == b"#cloud-boothook\n"
    assert seed.VENDOR_DATA not in seed.files(instance="i", hostname="h", keys=[])
