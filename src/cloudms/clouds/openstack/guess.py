"""What Glance says of an image only sometimes: the system in it, its login and its processor.

Properties: https://docs.openstack.org/glance/latest/admin/useful-image-properties.html.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from cloudms.clouds.guess import SYSTEMS, family, title

_DISTROS = {
    "sled": "sles", "opensuse": "suse", "arch": "arch-linux", "fedora-coreos": "coreos",
    "rhcos": "coreos", "rockylinux": "rocky", "alma": "almalinux", "redhat": "rhel",
}  # fmt: skip
"""Words of the property `os_distro` that differ from those in names."""
_ARCHES = {
    "amd64": "x86_64", "x86-64": "x86_64", "x86_64": "x86_64", "arm64": "arm64", "aarch64": "arm64", "i686": "i686",
    "i386": "i686", "ppc64le": "ppc64le", "s390x": "s390x", "riscv64": "riscv64",
}  # fmt: skip
_ARCH = re.compile("|".join(sorted(_ARCHES, key=len, reverse=True))).search


def system(row: Mapping[str, Any]) -> tuple[str, str]:
    """Return the system in an image and its login, empty where nothing tells them: by its properties, else its name."""
    name, distro = str(row.get("name") or "").lower(), str(row.get("os_distro") or "").lower()
    word = _DISTROS.get(distro, distro) if distro else family(name)
    if not distro and not word and row.get("os_type") == "windows":
        word = "windows"
    known = SYSTEMS.get(word)
    login = str(row.get("os_admin_user") or (known.login if known else ""))
    if not known:
        return " ".join(filter(None, (distro, str(row.get("os_version") or "")))), login
    version = str(row.get("os_version") or "")
    if version and not version.lower().startswith(known.name):
        return f"{known.name} {version}", login
    return title(word, name), _older(word, name, login)


def _older(word: str, name: str, login: str) -> str:
    """Return the login of an image, which some makers have changed with a version, or that depends on its edition."""
    if word == "centos" and "stream" in name and not re.search(r"stream[- ]?8|centos[- ]?8", name):
        return "cloud-user"
    return "sles" if word == "suse" and "sles" in name else login


def arch(row: Mapping[str, Any]) -> str:
    """Return the processor that an image is for, an empty string where nothing tells it."""
    told = str(row.get("architecture") or row.get("hw_architecture") or "").lower()
    if told:
        return _ARCHES.get(told, told)
    found = _ARCH(str(row.get("name") or "").lower())
    return _ARCHES[found[0]] if found else ""
