"""What every part of the AWS cloud stands on: the way to AWS, finding an instance, and describing it as a noun."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

from cloudms.clouds import notes
from cloudms.clouds.aws import describe, tags
from cloudms.clouds.aws.link import Link
from cloudms.clouds.aws.settings import place
from cloudms.clouds.base import Cloud, Setup
from cloudms.clouds.view import View, origin_of, view_of
from cloudms.errors import CloudmsError, Conflict, NotFound, NotReady
from cloudms.model import Origin, Vm, VmState

PAGE = 1000
"""Instances of one page: as many as EC2 gives."""
SETTLES_S = 120.0
"""Seconds after which EC2 tells everywhere of what it has made
(https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html)."""
_OTHERS_S = 60.0
"""Seconds for which an instance that another process has made is waited for rather than taken for gone."""


class Core(Cloud):
    """The way to AWS, and from a noun to an instance and back."""

    kind: ClassVar[str] = "aws"
    extra: ClassVar[str] = "aws"
    width: ClassVar[int] = 16
    default_wait: ClassVar[str] = "running"
    default_flavor: ClassVar[str] = "t3.micro"
    costs_money: ClassVar[bool] = True

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self.link = Link(setup, self.clock)
        self._young: dict[str, tuple[float, dict[str, Any], str]] = {}

    def close(self) -> None:
        """Give the connections back."""
        self.link.close()

    @property
    def view(self) -> View:
        """Return who looks, now."""
        return view_of(self.name, self.setup.owner, self.clock.now(), self.setup.default)

    def noun(self, row: Mapping[str, Any], region: str) -> Vm:
        """Return the noun of an instance as AWS described it."""
        return describe.vm(row, region, self.view)

    def instances(self, region: str, **params: Any) -> Iterator[dict[str, Any]]:
        """Yield the instances of a region; `params` narrow DescribeInstances."""
        more: dict[str, Any] = {} if "InstanceIds" in params else {"MaxResults": PAGE}
        for reservation in self.link.pages("describe_instances", "Reservations", region, **more, **params):
            for row in reservation.get("Instances") or ():
                yield {**row, "OwnerId": reservation.get("OwnerId", "")}

    def find(self, vm: Vm) -> tuple[dict[str, Any], str]:
        """Return the instance of `vm`, by id or else token, and its region. Raises: NotFound."""
        failed: CloudmsError | None = None
        young = self.remembered(vm.id)
        for region in self.places(vm):
            try:
                row = self._find_in(vm, region)
            except NotFound:
                continue
            except CloudmsError as error:
                failed = failed or error
                continue
            return row, region
        if failed is not None:
            raise failed
        if young is not None:
            return young
        going = vm.state in (VmState.TERMINATING, VmState.TERMINATED)
        if vm.id and not going and vm.created is not None and 0 <= self.clock.now() - vm.created < _OTHERS_S:
            raise NotReady(f"AWS does not show vm '{vm.name}' yet", hint="try again in a moment")
        raise NotFound(f"vm '{vm.name}' is not on cloud '{self.name}'", details={"vm": vm.name})

    def remember(self, rows: Iterable[dict[str, Any]], region: str) -> None:
        """Keep instances in mind that have just been made: EC2 may deny for some seconds that they are there."""
        now = self.clock.monotonic()
        for ident, (made, _row, _region) in list(self._young.items()):
            if now - made > SETTLES_S:
                self._young.pop(ident, None)
        for row in rows:
            self._young[str(row["InstanceId"])] = now, row, region

    def remembered(self, ident: str) -> tuple[dict[str, Any], str] | None:
        """Return what EC2 said of an instance when it made it a moment ago, and its region, or None."""
        made, row, region = self._young.get(ident, (0.0, {}, ""))
        return (row, region) if row and self.clock.monotonic() - made < SETTLES_S else None

    def places(self, vm: Vm) -> tuple[str, ...]:
        """Return the regions where `vm` may be: its own when it is known, which may be a zone of it as long as nobody
        has made the VM; none when AWS has no such region.
        """
        if not vm.region:
            return self.link.regions
        try:
            return (self.link.check_region(place(vm.region)[0]),)
        except NotFound:
            return ()

    def _find_in(self, vm: Vm, region: str) -> dict[str, Any]:
        rows = list(self.instances(region, InstanceIds=[vm.id])) if vm.id else self.with_token(vm.token, region)
        if not rows:
            raise NotFound(f"vm '{vm.name}' is not in {region}", details={"vm": vm.name})
        return rows[0]

    def with_token(self, token: str, region: str) -> list[dict[str, Any]]:
        """Return the instances that carry a token, the living before those that are gone."""
        if not token:
            return []
        base, _number = notes.base_token(token)
        rows = self.instances(region, Filters=tags.filters(token=list(dict.fromkeys((token, base)))))
        found = [row for row in rows if tags.of(row).token == token]
        return sorted(found, key=lambda row: describe.is_gone(row))

    def demand(self, row: Mapping[str, Any], allowed: frozenset[VmState], action: str) -> VmState:
        """Return the state of an instance when `action` is possible in it.

        Raises: NotFound (it is terminated), Conflict (being deleted), NotReady (any other state; `details` names it).
        """
        mark = tags.of(row)
        now, _reason = describe.state_of(row, mark)
        name = mark.name or str(row.get("InstanceId"))
        details = {"vm": name, "state": str(now)}
        if now in allowed:
            return now
        if now is VmState.TERMINATED:
            raise NotFound(f"vm '{name}' is deleted and cannot {action}", details=details)
        if now is VmState.TERMINATING:
            raise Conflict(f"vm '{name}' is being deleted", details=details)
        hint = f"it must be {' or '.join(sorted(allowed))}"
        raise NotReady(f"vm '{name}' is {now}: cannot {action}", hint=hint, details=details)

    def put_tags(
        self, row: dict[str, Any], region: str, pairs: Mapping[str, str], drop: Iterable[str] = ()
    ) -> dict[str, Any]:
        """Put tags on an instance and take others away, where that changes something; return it with its new tags."""
        ident, old = str(row["InstanceId"]), tags.plain(row.get("Tags") or ())
        fresh = {key: value for key, value in pairs.items() if old.get(key) != value}
        gone = [key for key in drop if key in old and key not in pairs]
        if fresh:
            self.link.call("create_tags", region, Resources=[ident], Tags=tags.listed(fresh))
        if gone:
            self.link.call("delete_tags", region, Resources=[ident], Tags=[{"Key": key} for key in gone])
        kept = {key: value for key, value in old.items() if key not in gone}
        return {**row, "Tags": tags.listed(kept | fresh)}

    def own(self, row: Mapping[str, Any], action: str) -> tags.Tags:
        """Return the tags of an instance that is in our care. Raises: Conflict (made by somebody else)."""
        found = tags.of(row)
        if origin_of(found, self.setup.owner) is Origin.FOREIGN:
            whose = f"belongs to {found.owner}" if found.owner else "was made elsewhere"
            name = found.name or row.get("InstanceId", "?")
            raise Conflict(f"vm '{name}' {whose} and will not be {action}", hint=f"cms vm adopt {name}")
        return found
