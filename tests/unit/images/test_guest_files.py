"""What the small guest's scripts read from a seed, run on this machine with its own shell and awk."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from cloudms.images.recipe import GUEST

LIB = GUEST / "micro" / "root" / "usr" / "lib" / "cms"


def network(text: str) -> tuple[list[str], str]:
    """Return the flat lines of a network-config, and what is said to be ignored."""
    done = subprocess.run(
        ["awk", "-f", str(LIB / "network.awk")], input=text, capture_output=True, text=True, check=True, timeout=20
    )
    return done.stdout.splitlines(), done.stderr


def meta(tmp_path: Path, text: str) -> list[str]:
    """Return instance, host name and keys that the guest reads from meta-data."""
    (tmp_path / "meta-data").write_text(text)
    script = '. "$1"; SEED=$2; read_meta_data; printf "%s\\n%s\\n%s" "$instance" "$hostname" "$keys"'
    done = subprocess.run(
        ["sh", "-c", script, "sh", str(LIB / "identity"), str(tmp_path)], capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


def test_static_addresses_routes_and_servers() -> None:
    lines, ignored = network(
        "network:\n"
        "  version: 2\n"
        "  ethernets:\n"
        "    lan:  # the second card\n"
        "      match:\n"
        '        macaddress: "52:54:00:AA:00:06"\n'
        "      addresses:\n"
        "        - 10.0.0.5/24\n"
        "        - '10.0.1.5/24'\n"
        "      mtu: 1400\n"
        "      routes:\n"
        "        - to: default\n"
        "          via: 10.0.0.1\n"
        "        - via: 10.0.0.2\n"
        "          to: 10.9.0.0/16\n"
        "      nameservers:\n"
        "        search: [lab.example]\n"
        "        addresses:\n"
        "          - 9.9.9.9\n"
        "          - 8.8.8.8\n"
    )
    assert lines == [
        "card lan",
        "mac 52:54:00:aa:00:06",
        "address 10.0.0.5/24",
        "address 10.0.1.5/24",
        "mtu 1400",
        "gateway 10.0.0.1",
        "route 10.9.0.0/16 10.0.0.2",
        "search lab.example",
        "dns 9.9.9.9",
        "dns 8.8.8.8",
    ]
    assert ignored == ""


def test_lists_in_one_line_and_a_list_at_its_keys_depth() -> None:
    lines, _ = network(
        "version: 2\nethernets:\n  eth0:\n    addresses: [10.0.0.5/24, '10.0.0.6/24']\n    gateway4: 10.0.0.1\n"
        "  eth1:\n    addresses:\n    - 10.1.0.5/24\n    dhcp4: false\n"
    )
    assert lines == [
        "card eth0",
        "address 10.0.0.5/24",
        "address 10.0.0.6/24",
        "gateway 10.0.0.1",
        "card eth1",
        "address 10.1.0.5/24",
    ]


@pytest.mark.parametrize("value", ["true", "yes"])
def test_dhcp(value: str) -> None:
    assert network(f"version: 2\nethernets:\n  eth0:\n    dhcp4: {value}\n")[0] == ["card eth0", "dhcp 4"]


@pytest.mark.parametrize("first", ["match", "set-name"])
def test_name_of_a_card_follows_its_address(first: str) -> None:
    parts = ['    match:\n      macaddress: "52:54:00:00:00:06"\n', "    set-name: lan0\n"]
    ordered = parts if first == "match" else parts[::-1]
    text = "version: 2\nethernets:\n  nic:\n" + "".join(ordered) + "    dhcp4: true\n  other:\n    dhcp4: true\n"
    assert network(text)[0] == ["card nic", "mac 52:54:00:00:00:06", "rename lan0", "dhcp 4", "card other", "dhcp 4"]


def test_what_is_not_known_is_named() -> None:
    lines, ignored = network(
        "version: 2\nethernets:\n  eth0:\n    dhcp4: true\n    wakeonlan: true\n    link-local: [ipv4]\n"
        "bonds:\n  bond0:\n    interfaces: [eth0]\n"
    )
    assert lines == ["card eth0", "dhcp 4"]
    assert "wakeonlan" in ignored and "link-local" in ignored and "bonds" in ignored


def test_meta_data(tmp_path: Path) -> None:
    text = (
        'instance-id: i-1\nlocal-hostname: one\npublic-keys:\n  - "ssh-ed25519 AAAA ada@lab"\n  - "ssh-rsa BBBB: x"\n'
    )
    assert meta(tmp_path, text) == ["i-1", "one", "ssh-ed25519 AAAA ada@lab", "ssh-rsa BBBB: x"]


def test_meta_data_without_keys_quotes_and_last_newline(tmp_path: Path) -> None:
    assert meta(tmp_path, 'instance-id: "i-1"\nother:\n  - "not a key"\nlocal-hostname: one') == ["i-1", "one"]
