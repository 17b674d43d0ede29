"""What clouds do not say of an image: the system in it and the user that SSH wants, by what it is called."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple


class System(NamedTuple):
    """A family of images: its name for people, its login, and what its version looks like in a name."""

    name: str
    login: str
    version: str = ""


SYSTEMS: Mapping[str, System] = {
    "ubuntu": System("ubuntu", "ubuntu", r"(\d\d\.\d\d)"),
    "debian": System("debian", "debian", r"debian[- ]?(\d+)"),
    "al2023": System("amazon linux 2023", "ec2-user"),
    "amzn2-": System("amazon linux 2", "ec2-user"),
    "amzn-": System("amazon linux 1", "ec2-user"),
    "bottlerocket": System("bottlerocket", "ec2-user"),
    "windows": System("windows", "Administrator", r"server[- _](\d{4})"),
    "rhel": System("rhel", "cloud-user", r"rhel[- ]?(\d+(?:\.\d+)?)"),
    "centos": System("centos", "centos", r"(?:stream[- ]|centos[- ]?)(\d+)"),
    "rocky": System("rocky", "rocky", r"rocky(?:[- ]?linux)?[- ]?(\d+)"),
    "almalinux": System("almalinux", "almalinux", r"(?:os |almalinux[- ]?)(\d+)"),
    "fedora": System("fedora", "fedora", r"(?:base|generic|fedora)[.\- ](\d+)"),
    "suse": System("suse", "opensuse", r"(?:sles|leap)[- ]?(\d+(?:-sp\d+|\.\d+)?)"),
    "sles": System("suse", "sles", r"sles[- ]?(\d+(?:-sp\d+)?)"),
    "freebsd": System("freebsd", "freebsd", r"freebsd[- ](\d+\.\d+)"),
    "flatcar": System("flatcar", "core"),
    "coreos": System("coreos", "core"),
    "alpine": System("alpine", "alpine", r"alpine-(?:ami-)?(\d+\.\d+)"),
    "kali": System("kali", "kali"),
    "arch-linux": System("arch linux", "arch"),
    "bitnami": System("bitnami", "bitnami"),
    "macos": System("macos", "ec2-user"),
    "amzn-ec2-macos": System("macos", "ec2-user"),
    "cirros": System("cirros", "cirros", r"cirros[- ](\d+\.\d+)"),
}
"""Families by the word in their names. The logins are those that the makers of the images gave them; clouds whose own
images differ say so.
"""

_FAMILY = re.compile("|".join(re.escape(word) for word in sorted(SYSTEMS, key=len, reverse=True))).search
_VERSIONS = {word: re.compile(system.version).search for word, system in SYSTEMS.items() if system.version}


def family(name: str) -> str:
    """Return the word of the family that a name in small letters tells, or an empty string."""
    found = _FAMILY(name)
    return found[0] if found else ""


def title(word: str, name: str) -> str:
    """Return the system of a family and of a name in small letters as people write it, such as `ubuntu 24.04`."""
    known = SYSTEMS.get(word)
    if known is None:
        return ""
    search = _VERSIONS.get(word)
    version = search(name) if search else None
    return f"{known.name} {version[1]}" if version else known.name
