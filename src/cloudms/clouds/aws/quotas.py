"""Quotas: the limits of the account that stop a boot, with what is used of them.

Running instances are limited by vCPUs in groups of families, on demand and spot apart
(https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-on-demand-instances.html#ec2-on-demand-instances-limits). The
service of quotas tells the limits; where it may not be asked, the older account attributes tell less.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from cloudms.clouds.aws import tags
from cloudms.clouds.aws.core import Core
from cloudms.clouds.aws.describe import jsonable
from cloudms.clouds.base import Quotas
from cloudms.errors import Denied, NotFound, NotReady, Unsupported
from cloudms.model import Quota

_FAMILIES = (
    (r"Running On-Demand (?P<group>.+?) instances", "on-demand"),
    (r"All (?P<group>.+?) Spot Instance Requests", "spot"),
)
_ADDRESSES = r"EC2-VPC Elastic IPs"
_STORAGE = r"Storage for General Purpose SSD \(gp3\) volumes, in TiB"
_ATTRIBUTES = {
    "max-instances": ("instances", "VMs"), "vpc-max-elastic-ips": ("elastic ips", "addresses"),
}  # fmt: skip
_WORDS = {"standard": "acdhimrtz", "high": "u"}
"""Families of a group whose name does not list them."""

Used = Callable[[], float]


class Limits(Core, Quotas):
    """What the account may have."""

    def list_quotas(self) -> Iterable[Quota]:
        """Yield the limits of every region in use on vCPUs by family, addresses and volumes."""
        return self.link.each_region(self._quotas_in)

    def _quotas_in(self, region: str) -> Iterator[Quota]:
        usage = _Usage(self, region)
        try:
            rows = self._service_quotas(region)
        except (Denied, Unsupported, NotFound, NotReady):
            yield from self._attributes(region, usage)
            return
        for row in rows:
            yield from self._quota(row, region, usage)

    def _service_quotas(self, region: str) -> list[dict[str, Any]]:
        if not self.link.settings.reachable("service-quotas"):
            raise Unsupported("there is no service of quotas", hint="it is an EC2 of its own")
        return [
            row
            for code in ("ec2", "ebs")
            for row in self.link.pages(
                "list_service_quotas", "Quotas", region, "service-quotas", ServiceCode=code, MaxResults=100
            )
        ]

    def _quota(self, row: Mapping[str, Any], region: str, usage: _Usage) -> Iterator[Quota]:
        """Yield the quota of a row, when it is one of those that stop a boot."""
        told = str(row.get("QuotaName") or "")
        for pattern, kind in _FAMILIES:
            if found := re.fullmatch(pattern, told):
                used = usage.vcpus(families(found["group"]), spot=kind == "spot")
                yield self._noun(f"{kind} {short(found['group'])}", row, region, used, "vCPUs")
        if re.fullmatch(_ADDRESSES, told):
            yield self._noun("elastic ips", row, region, usage.addresses(), "addresses")
        if re.fullmatch(_STORAGE, told):
            yield self._noun("gp3 volumes", row, region, usage.gp3_tib(), "TiB")

    def _noun(self, name: str, row: Mapping[str, Any], region: str, used: float | None, unit: str) -> Quota:
        code, value = str(row.get("QuotaCode") or name), row.get("Value")
        return Quota(
            name=name, cloud=self.name, id=f"{region}/{code}", region=region, unit=unit,
            used=None if used is None else round(used, 3),
            limit=None if value is None else float(value), fetched=self.clock.now(), raw=jsonable(row),
        )  # fmt: skip

    def _attributes(self, region: str, usage: _Usage) -> Iterator[Quota]:
        """Yield what the attributes of the account tell."""
        reply = self.link.call("describe_account_attributes", region, AttributeNames=list(_ATTRIBUTES))
        for row in reply.get("AccountAttributes") or ():
            name, unit = _ATTRIBUTES.get(str(row.get("AttributeName")), ("", ""))
            values = [str(each.get("AttributeValue")) for each in row.get("AttributeValues") or ()]
            if not name or not values or not values[0].isdigit():
                continue
            used = usage.addresses() if unit == "addresses" else usage.count()
            yield self._noun(name, {"Value": values[0], **row}, region, used, unit)


class _Usage:
    """What is used in one region, asked when it is first needed; None where the keys may not ask."""

    def __init__(self, core: Core, region: str) -> None:
        self.core, self.region = core, region
        self._instances: list[tuple[str, bool, int]] | None = None

    def vcpus(self, prefixes: Sequence[str], *, spot: bool) -> float | None:
        """Return the vCPUs of the running instances of these families."""
        return self._asked(
            lambda: sum(vcpus for family, is_spot, vcpus in self.instances() if is_spot == spot and family in prefixes)
        )

    def count(self) -> float | None:
        """Return the number of running instances."""
        return self._asked(lambda: len(self.instances()))

    def addresses(self) -> float | None:
        """Return the number of elastic addresses."""
        return self._asked(lambda: len(self.core.link.call("describe_addresses", self.region).get("Addresses") or ()))

    def gp3_tib(self) -> float | None:
        """Return the TiB of gp3 volumes, root disks included."""
        narrow = tags.filters(volume_type="gp3")
        pages = self.core.link.pages
        return self._asked(
            lambda: sum(
                float(row.get("Size") or 0) for row in pages("describe_volumes", "Volumes", self.region, Filters=narrow)
            ) / 1024
        )  # fmt: skip

    def instances(self) -> list[tuple[str, bool, int]]:
        """Return family, whether it is spot, and vCPUs of each running instance."""
        if self._instances is None:
            narrow = tags.filters(instance_state_name=["pending", "running"])
            rows = list(self.core.instances(self.region, Filters=narrow))
            sizes = self._sizes({str(row.get("InstanceType")) for row in rows if not vcpus_of(row)})
            self._instances = [
                (family(name := str(row.get("InstanceType"))), row.get("InstanceLifecycle") == "spot",
                 vcpus_of(row) or sizes.get(name, 0))
                for row in rows
            ]  # fmt: skip
        return self._instances

    def _sizes(self, flavors: Collection[str]) -> dict[str, int]:
        """Return the vCPUs of instance types, for instances that do not tell theirs."""
        if not flavors:
            return {}
        narrow = tags.filters(instance_type=sorted(flavors))
        rows = self.core.link.pages("describe_instance_types", "InstanceTypes", self.region, Filters=narrow)
        return {str(row.get("InstanceType")): int((row.get("VCpuInfo") or {}).get("DefaultVCpus") or 0) for row in rows}

    def _asked(self, question: Used) -> float | None:
        try:
            return question()
        except Denied:
            return None


def vcpus_of(row: Mapping[str, Any]) -> int:
    """Return the vCPUs that an instance tells of itself, 0 when it does not."""
    told = row.get("CpuOptions") or {}
    return int(told.get("CoreCount") or 0) * int(told.get("ThreadsPerCore") or 1)


def family(flavor: str) -> str:
    """Return the family of an instance type as quotas speak of it: t3.micro is t, im4gn.large is i."""
    found = re.match(r"[a-z]+", flavor)
    letters = found[0] if found else ""
    return "i" if letters in ("im", "is") else letters


def families(group: str) -> tuple[str, ...]:
    """Return the families of a group: `Standard (A, C, D)` is a, c, d; `G and VT` is g, vt."""
    listed = re.search(r"\(([^)]*)\)", group)
    words = re.findall(r"[a-z]+", (listed[1] if listed else group).lower())
    return tuple(letter for word in words if word not in ("and", "memory") for letter in _WORDS.get(word, [word]))


def short(group: str) -> str:
    """Return the name of a group without its list: `Standard (A, C)` is standard, `G and VT` is g vt."""
    words = re.sub(r"\([^)]*\)", "", group).lower().split()
    return " ".join(word for word in words if word != "and")
