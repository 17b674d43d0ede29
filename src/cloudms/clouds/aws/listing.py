"""What is there: reaching AWS, listing instances over regions, finding one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from cloudms.clouds import notes
from cloudms.clouds.aws import describe, route, tags
from cloudms.clouds.aws.core import PAGE, Core
from cloudms.clouds.aws.pace import Pace
from cloudms.clouds.aws.wire import Wire
from cloudms.clouds.base import Reach
from cloudms.errors import NotReady, Throttled
from cloudms.model import Vm

_PATIENCE = {Throttled: 2, NotReady: 2}
"""How often one page of instances is asked for: the guard around the cloud asks for the list again."""


class Listing(Core):
    """Reaching AWS and looking at instances."""

    def reach(self) -> Reach:
        """Ask whose keys these are, and for a region. Raises: NotReady, Denied, MissingExtra, Invalid.

        An EC2 of one's own (setting `endpoint` for ec2 only) has no STS to ask; its regions are asked for instead.
        """
        begin = self.clock.monotonic()
        regions = self.link.call("describe_regions", AllRegions=False).get("Regions") or ()
        who = self._identity()
        account = str(who.get("Account") or "")
        details = {
            "account": account, "arn": who.get("Arn", ""), "region": self.link.region,
            "regions": sorted(str(row.get("RegionName")) for row in regions),
            "endpoint": self.link.client("ec2").meta.endpoint_url,
        }  # fmt: skip
        return Reach(
            version=f"EC2 {self.link.client('ec2').meta.service_model.api_version} in {self.link.region}",
            account=account, details=details, seconds=self.clock.monotonic() - begin,
        )  # fmt: skip

    def _identity(self) -> dict[str, Any]:
        """Return account and name of the keys, or nothing where there is no STS."""
        if not self.link.settings.reachable("sts"):
            return {}
        return self.link.call("get_caller_identity", service="sts")

    def list_vms(self) -> Iterable[Vm]:
        """Yield every instance of the account in the configured regions; a broken region is raised after the rest."""
        return self.link.each_region(self.vms_in)

    def vms_in(self, region: str) -> Iterator[Vm]:
        """Yield the instances of one region as nouns."""
        for row in self._every(region):
            yield self.noun(row, region)

    def _every(self, region: str) -> Iterator[dict[str, Any]]:
        """Yield all instances of a region, however many, by the quickest way there is."""
        if not route.direct(self.link):
            yield from self.instances(region)
            return
        wire = Wire(self.link, region, Pace(self.clock), patience=_PATIENCE)
        try:
            for page in wire.pages("DescribeInstances", MaxResults=PAGE):
                for reservation in page.get("Reservations") or ():
                    owner = reservation.get("OwnerId", "")
                    for row in reservation.get("Instances") or ():
                        row["OwnerId"] = owner
                        yield row
        finally:
            wire.close()

    def get_vm(self, vm: Vm) -> Vm:
        """Return the VM with this id, or else token. Raises: NotFound."""
        return self.noun(*self.find(vm))

    def get_vms(self, vms: Sequence[Vm]) -> dict[str, Vm]:
        """Return what AWS says of several VMs, by their key; those it does not have are left out."""
        found: dict[str, Vm] = {}
        wanted: dict[str, list[Vm]] = {}
        for vm in vms:
            for region in self.places(vm):
                wanted.setdefault(region, []).append(vm)
        for region, some in wanted.items():
            found |= self._several(region, some)
        return found

    def _several(self, region: str, vms: Sequence[Vm]) -> dict[str, Vm]:
        by_id = {vm.id: vm for vm in vms if vm.id}
        by_token = {vm.token: vm for vm in vms if vm.token and not vm.id}
        bases = [token for each in by_token for token in (each, notes.base_token(each)[0])]
        found: dict[str, Vm] = {}
        for row in self._rows(region, "instance-id", list(by_id)):
            found[by_id[row["InstanceId"]].key] = self.noun(row, region)
        for row in self._rows(region, f"tag:{notes.TOKEN}", bases):
            token = tags.of(row).token
            if token in by_token and not (token in found and describe.is_gone(row)):
                found[by_token[token].key] = self.noun(row, region)
        return found

    def _rows(self, region: str, name: str, values: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Yield the instances with one of the values; a filter does not mind those that are gone."""
        distinct = list(dict.fromkeys(values))
        for start in range(0, len(distinct), _FILTER_VALUES):
            some = distinct[start : start + _FILTER_VALUES]
            yield from self.instances(region, Filters=[{"Name": name, "Values": some}])


_FILTER_VALUES = 200
"""Values that EC2 takes in one filter."""
