"""The images of the pretended AWS: a few with the names, owners and dates that the real ones have."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from typing import Any

from tests.aws.rules import before
from tests.aws.wire import Call, Refused, Reply
from tests.aws.world import World

CANONICAL, DEBIAN, AMAZON = "099720109477", "136693071363", "137112412989"

OF_2017 = "ami-0183d861"
"""The image that the papers of 2017 boot."""

_UBUNTU = "ubuntu/images/hvm-ssd-gp3/ubuntu-{code}-{version}-{arch}-server-{day}"
_OF_UBUNTU = (("noble", "24.04"), ("jammy", "22.04"))
_DAYS = ("20240911", "20250115", "20250610")
_ARCHES = {"amd64": "x86_64", "arm64": "arm64"}


def few() -> list[dict[str, Any]]:
    """Return the list in the form of MOTO_AMIS_PATH."""
    rows = []
    for code, version in _OF_UBUNTU:
        for arch in _ARCHES:
            for day in _DAYS:
                name = _UBUNTU.format(code=code, version=version, arch=arch, day=day)
                rows.append(_row(name, f"Canonical, Ubuntu, {version}, {arch} {code} image", CANONICAL, arch, day))
    for arch in _ARCHES:
        for day in _DAYS:
            rows.append(_row(f"debian-12-{arch}-{day}-1234", f"Debian 12 ({day}-1234)", DEBIAN, arch, day, "/dev/xvda"))
            name = f"al2023-ami-2023.6.{day}.0-kernel-6.1-{_ARCHES[arch]}"
            about = f"Amazon Linux 2023 AMI 2023.6.{day}.0 {_ARCHES[arch]} HVM kernel-6.1"
            rows.append(_row(name, about, AMAZON, arch, day, "/dev/xvda"))
    for number, row in enumerate(rows, 1):
        row["ami_id"] = f"ami-0{number:016x}"
    xenial = "ubuntu/images/hvm-ssd/ubuntu-xenial-16.04-amd64-server-20170414"
    return [*rows, {**_row(xenial, "Canonical, Ubuntu, 16.04 LTS", CANONICAL, "amd64", "20170414"), "ami_id": OF_2017}]


def _row(name: str, about: str, owner: str, arch: str, day: str, root: str = "/dev/sda1") -> dict[str, Any]:
    return {
        "ami_id": "", "name": name, "description": about, "owner_id": owner, "public": True,
        "virtualization_type": "hvm", "architecture": _ARCHES[arch], "state": "available", "platform": None,
        "image_type": "machine", "image_location": f"{owner}/{name}", "hypervisor": "xen", "root_device_name": root,
        "root_device_type": "ebs", "sriov": "simple", "tags": {},
        "creation_date": f"{day[:4]}-{day[4:6]}-{day[6:]}T07:30:00.000Z",
    }  # fmt: skip


def _pattern(path: str) -> str:
    """Return the pattern of the names of the images that a public parameter may stand for."""
    parts = path.strip("/").split("/")
    if path.startswith("/aws/service/canonical/ubuntu/server/") and path.endswith("/ami-id"):
        version = dict(_OF_UBUNTU).get(parts[5], parts[5])
        return f"ubuntu/images/*-{version}-{parts[8]}-server-*"
    if path.startswith("/aws/service/debian/release/12/latest/"):
        return f"debian-12-{parts[-1]}-*"
    if path.startswith("/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-"):
        return f"al2023-ami-2023.*-{path.rpartition('-')[2]}"
    return ""


@before("GetParameter", "GetParameters")
def latest_image(world: World, call: Call) -> Reply | None:
    """Answer the public parameters that name the newest image of a system; other parameters are moto's."""
    asked = call.json()
    names = asked.get("Names") or [asked.get("Name", "")]
    if not all(name.startswith("/aws/service/") for name in names):
        return None
    found = [(name, _newest(world, call, name)) for name in names]
    rows = [{"Name": name, "Type": "String", "Value": ami, "Version": 1} for name, ami in found if ami]
    if "Name" in asked and not rows:
        raise Refused("ParameterNotFound", f"Parameter {names[0]} not found.")
    missing = [name for name, ami in found if not ami]
    answer = {"Parameter": rows[0]} if "Name" in asked else {"Parameters": rows, "InvalidParameters": missing}
    return Reply(body=json.dumps(answer).encode(), type="application/x-amz-json-1.1")


def _newest(world: World, call: Call, path: str) -> str:
    pattern = _pattern(path)
    found = [ami for ami in world.backend(call.region).amis.values() if pattern and fnmatchcase(ami.name, pattern)]
    return max(found, key=lambda ami: str(ami.creation_date)).id if found else ""
