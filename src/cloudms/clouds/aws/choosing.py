"""From what a person calls an image to an AMI: an id, an alias such as `debian-12`, a name, or a pattern of names.

Aliases are looked up in the public parameters of the Systems Manager where the distribution publishes them
(https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-public-parameters.html,
https://wiki.debian.org/Cloud/AmazonEC2Image, https://documentation.ubuntu.com/aws), else by name among the images of
its publisher.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from cloudms.clouds.aws import tags
from cloudms.clouds.aws.core import Core
from cloudms.errors import CloudmsError, NotFound
from cloudms.record import Record

PUBLISHERS = {
    "amazon": "amazon", "debian": "136693071363", "ubuntu": "099720109477", "redhat": "309956199498",
    "rocky": "792107900819", "alma": "764336703387", "fedora": "125523088429", "suse": "013907871322",
}  # fmt: skip
"""Accounts whose images may be named by name."""

LOGINS: tuple[tuple[str, str], ...] = (
    (r"debian", "admin"),
    (r"ubuntu", "ubuntu"),
    (r"fedora", "fedora"),
    (r"centos", "centos"),
    (r"rocky", "rocky"),
    (r"bitnami", "bitnami"),
    (r"freebsd", "ec2-user"),
    (r"windows", "Administrator"),
    (r"al2023|amzn|amazon|rhel|suse|alma", "ec2-user"),
)
"""Words in the name of an image → the user that it lets in, the first that fits."""


class Alias(Record):
    """Where the newest image of a distribution is found; `{arch}` and `{deb}` stand for x86_64 and amd64 or so."""

    parameter: str = ""
    publisher: str
    pattern: str


def alias(word: str) -> Alias | None:
    """Return where the images of `debian-12`, `ubuntu-24.04`, `al2023` … are, or None: it is no alias."""
    word = word.lower()
    if word in ("al2023", "amazon-linux", "amazon-linux-2023"):
        return Alias(
            parameter="/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-{arch}", publisher="amazon",
            pattern="al2023-ami-2023.*-{arch}",
        )  # fmt: skip
    if word in ("al2", "amzn2", "amazon-linux-2"):
        return Alias(
            parameter="/aws/service/ami-amazon-linux-latest/amzn2-ami-hvm-{arch}-gp2", publisher="amazon",
            pattern="amzn2-ami-hvm-*-{arch}-gp2",
        )  # fmt: skip
    found = re.fullmatch(r"(debian|ubuntu|rocky|alma|fedora)-?(\d+(?:\.\d+)?)?", word)
    return _distribution(found[1], found[2] or "") if found else None


def _distribution(name: str, version: str) -> Alias:
    if name == "debian":
        version = version or "12"
        return Alias(
            parameter=f"/aws/service/debian/release/{version}/latest/{{deb}}", publisher="debian",
            pattern=f"debian-{version}-{{deb}}-*",
        )  # fmt: skip
    if name == "ubuntu":
        version = version or "24.04"
        disk = "ebs-gp3" if float(version) >= 23.10 else "ebs-gp2"
        path = f"/aws/service/canonical/ubuntu/server/{version}/stable/current/{{deb}}/hvm/{disk}/ami-id"
        pattern = f"ubuntu/images/hvm-ssd*/ubuntu-*-{version}-{{deb}}-server-*"
        return Alias(parameter=path, publisher="ubuntu", pattern=pattern)
    patterns = {
        "rocky": f"Rocky-{version or '9'}-EC2-Base-*.{{arch}}*",
        "alma": f"AlmaLinux OS {version or '9'}*{{arch}}",
        "fedora": f"Fedora-Cloud-Base-*{version}*{{arch}}*",
    }
    return Alias(publisher=name, pattern=patterns[name])


def login_of(*names: str) -> str:
    """Return the user that an image lets in, by its names; empty when none of them tells it."""
    for name in filter(None, names):
        for pattern, login in LOGINS:
            if re.search(pattern, name.lower()):
                return login
    return ""


def arch_of(flavor: str) -> str:
    """Return the processor of an instance type by its name: those of Amazon's own processors have a `g` behind the
    generation (t4g, m7gd, c6gn), and a1.
    """
    return "arm64" if re.match(r"[a-z]+\d+g[a-z]*\.|a1\.", flavor) else "x86_64"


class Choosing(Core):
    """Images by what a person calls them."""

    def image(self, region: str, wanted: str, flavor: str) -> dict[str, Any]:
        """Return the description of the AMI that is meant. Raises: NotFound."""
        arch = arch_of(flavor)
        if re.fullmatch(r"ami-[0-9a-zA-Z]+", wanted):
            row = self._by_id(region, wanted)
        elif wanted.startswith(("resolve:ssm:", "/aws/")):
            row = self._by_parameter(region, wanted.removeprefix("resolve:ssm:"))
        else:
            known = alias(wanted)
            row = (self._by_alias(region, known, arch) if known else None) or self._by_name(region, wanted, arch)
        if row is None:
            raise NotFound(
                f"image '{wanted}' is not in {region}",
                hint=f"cms image list --cloud {self.name}, or debian-12, ubuntu-24.04, al2023",
                details={"image": wanted, "region": region},
            )
        return row

    def _by_id(self, region: str, ident: str) -> dict[str, Any] | None:
        try:
            rows = self.link.call("describe_images", region, ImageIds=[ident]).get("Images") or ()
        except NotFound:
            return None
        return rows[0] if rows else None

    def _by_parameter(self, region: str, name: str) -> dict[str, Any] | None:
        """Return the AMI that a parameter of the Systems Manager names; None when there is none to be had."""
        if not self.link.settings.reachable("ssm"):
            return None
        try:
            reply = self.link.call("get_parameter", region, service="ssm", Name=name)
        except CloudmsError:
            return None  # no such parameter, or no right to read it: the name is looked for
        ident = str((reply.get("Parameter") or {}).get("Value") or "")
        return self._by_id(region, ident) if ident.startswith("ami-") else None

    def _by_alias(self, region: str, known: Alias, arch: str) -> dict[str, Any] | None:
        words = {"arch": arch, "deb": "arm64" if arch == "arm64" else "amd64"}
        row = self._by_parameter(region, known.parameter.format(**words)) if known.parameter else None
        if row is not None:
            return row
        pattern = known.pattern.format(**words)
        return self._newest(region, [PUBLISHERS[known.publisher]], pattern, arch)

    def _by_name(self, region: str, name: str, arch: str) -> dict[str, Any] | None:
        """Return the newest image with this name: of the account, else of the known publishers."""
        owners = list(dict.fromkeys(PUBLISHERS.values()))
        return self._newest(region, ["self"], name, "") or self._newest(region, owners, name, arch)

    def _newest(self, region: str, owners: Iterable[str], pattern: str, arch: str) -> dict[str, Any] | None:
        wanted = [{"Name": "name", "Values": [pattern]}]
        wanted += tags.filters(state="available", **({"architecture": arch} if arch else {}))
        rows = list(self.link.pages("describe_images", "Images", region, Owners=list(owners), Filters=wanted))
        return max(rows, key=_age, default=None)


def _age(row: Mapping[str, Any]) -> str:
    return str(row.get("CreationDate") or "")
