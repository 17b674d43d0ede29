"""Flavors: the instance types of the regions in use.

Shape: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_InstanceTypeInfo.html. Their prices are asked for one
by one (prices.py): the whole price list of EC2 has gigabytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cloudms.clouds.aws import tags
from cloudms.clouds.aws.core import Core
from cloudms.clouds.aws.describe import jsonable
from cloudms.clouds.aws.errors import code_of
from cloudms.errors import Invalid, NotFound
from cloudms.model import Flavor

_UNKNOWN = ("InvalidInstanceType", "InvalidParameterValue")
_PAGE = 100


class Flavoring(Core):
    """What sizes there are."""

    def list_flavors(self) -> Iterable[Flavor]:
        """Yield the instance types of the home region, then what only other regions in use have.

        The setting `flavors` narrows them to names and patterns such as t3.*; without it they are those of the current
        generation.
        """
        home, seen = self.link.region, set[str]()
        for row in self._types_in(home):
            seen.add(str(row.get("InstanceType")))
            yield self.flavor(row, home)
        others = self.link.each_region(lambda region: self._others(region, home))
        for region, row in others if len(self.link.regions) > 1 else ():
            if str(row.get("InstanceType")) not in seen:
                seen.add(str(row.get("InstanceType")))
                yield self.flavor(row, region)

    def _others(self, region: str, home: str) -> Iterator[tuple[str, dict[str, Any]]]:
        for row in self._types_in(region) if region != home else ():
            yield region, row

    def _types_in(self, region: str) -> Iterator[dict[str, Any]]:
        patterns = wanted(self.setup.options.get("flavors"))
        narrow = tags.filters(instance_type=patterns) if patterns else tags.filters(current_generation="true")
        return self.link.pages("describe_instance_types", "InstanceTypes", region, MaxResults=_PAGE, Filters=narrow)

    def type_row(self, name: str, region: str = "") -> dict[str, Any]:
        """Return what AWS says of one instance type, of whatever generation. Raises: NotFound."""
        try:
            reply = self.link.call("describe_instance_types", region, InstanceTypes=[name])
        except Invalid as error:
            if code_of(error) not in _UNKNOWN:
                raise
            reply = {}
        except NotFound:
            reply = {}
        rows: list[dict[str, Any]] = reply.get("InstanceTypes") or []
        if not rows:
            where = region or self.link.region
            raise NotFound(
                f"cloud '{self.name}' has no flavor '{name}' in {where}",
                hint=f"cms flavor list --cloud {self.name}",
                details={"flavor": name, "region": where},
            )
        return rows[0]

    def flavor(self, row: Mapping[str, Any], region: str) -> Flavor:
        """Return the noun of an instance type; what a choice may depend on stands in its labels."""
        name = str(row.get("InstanceType"))
        return Flavor(
            name=name, cloud=self.name, id=name, region=region, labels=facts(row),
            vcpus=int(_part(row, "VCpuInfo").get("DefaultVCpus") or 0),
            memory_mib=int(_part(row, "MemoryInfo").get("SizeInMiB") or 0),
            disk_gib=gib(_part(row, "InstanceStorageInfo").get("TotalSizeInGB")), currency="",
            fetched=self.clock.now(), raw=jsonable(row),
        )  # fmt: skip


def wanted(value: Any) -> list[str]:
    """Return the names and patterns of the setting `flavors`: a list, or text with commas."""
    listed = value if isinstance(value, list | tuple) else str(value or "").replace(",", " ").split()
    return [str(each) for each in listed]


def facts(row: Mapping[str, Any]) -> dict[str, str]:
    """Return what tells instance types apart beside their size: processor, hibernation, network, GPUs."""
    arches = [str(arch) for arch in _part(row, "ProcessorInfo").get("SupportedArchitectures") or ()]
    gpus = _part(row, "GpuInfo").get("Gpus") or ()
    said = {
        "arch": next((arch for arch in arches if arch != "i386"), "".join(arches[:1])),
        "hibernation": "yes" if row.get("HibernationSupported") else "no",
        "network": str(_part(row, "NetworkInfo").get("NetworkPerformance") or ""),
        "gpus": " ".join(f"{gpu.get('Count', 1)} {gpu.get('Manufacturer', '')} {gpu.get('Name', '')}" for gpu in gpus),
        "metal": "yes" if row.get("BareMetal") else "",
        "burst": "yes" if row.get("BurstablePerformanceSupported") else "",
        "generation": "previous" if row.get("CurrentGeneration") is False else "",
    }
    return {name: value for name, value in said.items() if value}


def gib(gigabytes: Any) -> int:
    """Return whole GiB of a size in GB (10⁹ bytes), as AWS tells the disks inside an instance type."""
    return int(float(gigabytes or 0) * 10**9) >> 30


def _part(row: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = row.get(name) or {}
    return found
