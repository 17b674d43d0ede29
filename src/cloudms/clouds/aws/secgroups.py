"""Security groups that people name, in the network that VMs get.

AWS keeps a rule for IPv4 and one for IPv6; both together are one rule for everybody here. A new group has a rule that
lets everything out, which AWS adds by itself.
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_IpPermission.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cloudms.clouds.aws import ippermissions as spoken
from cloudms.clouds.aws import tags
from cloudms.clouds.aws.describe import jsonable
from cloudms.clouds.aws.firewall import Firewall, described
from cloudms.clouds.aws.settings import place
from cloudms.clouds.base import SecGroups
from cloudms.errors import Conflict, Exists, Invalid, NotFound
from cloudms.model import Rule, SecGroup

_ALIVE = ["pending", "running", "shutting-down", "stopping", "stopped"]
_ADDING = {"ingress": "authorize_security_group_ingress", "egress": "authorize_security_group_egress"}
_REMOVING = {"ingress": "revoke_security_group_ingress", "egress": "revoke_security_group_egress"}

Row = Mapping[str, Any]


class Grouping(Firewall, SecGroups):
    """Making, changing and deleting security groups."""

    def list_secgroups(self) -> Iterable[SecGroup]:
        """Yield the security groups of the account, each with the VMs in it."""
        return self.link.each_region(self._groups_in)

    def _groups_in(self, region: str) -> Iterator[SecGroup]:
        rows = list(self._groups(region))
        names = {str(row["GroupId"]): str(row.get("GroupName")) for row in rows}
        members = self._members(region)
        for row in rows:
            yield self._group_noun(row, region, names, members.get(str(row["GroupId"]), ()))

    def _groups(self, region: str, **narrow: str) -> Iterator[dict[str, Any]]:
        filters = tags.filters(**narrow)
        return self.link.pages("describe_security_groups", "SecurityGroups", region, Filters=filters)

    def _members(self, region: str) -> dict[str, list[str]]:
        """Return by id of a group the names of the VMs in it."""
        found: dict[str, list[str]] = {}
        for row in self.instances(region, Filters=tags.filters(instance_state_name=_ALIVE)):
            cards = [group for card in row.get("NetworkInterfaces") or () for group in card.get("Groups") or ()]
            for ident in {str(group["GroupId"]) for group in [*(row.get("SecurityGroups") or ()), *cards]}:
                found.setdefault(ident, []).append(self.noun(row, region).name)
        return {ident: sorted(names) for ident, names in found.items()}

    def _group_noun(
        self, row: Row, region: str, names: Mapping[str, str] | None = None, vms: Iterable[str] = ()
    ) -> SecGroup:
        marks, ident, name = tags.of(row), str(row.get("GroupId")), str(row.get("GroupName") or "")
        ours = tags.NAME in tags.plain(row.get("Tags") or ())  # those of VMs carry the token of their VMs
        return SecGroup(
            name=name or ident, cloud=self.name, id=ident, region=region, description=str(row.get("Description") or ""),
            rules=spoken.rules(row, names or {}), vms=tuple(vms), owner=marks.owner,
            token=marks.token if ours else "", fetched=self.clock.now(), raw=jsonable(row),
        )  # fmt: skip

    def create_secgroup(self, name: str, description: str, token: str, region: str = "") -> SecGroup:
        """Make a group that lets nothing in and everything out; idempotent by token.

        Raises: Exists, Invalid (name, description, no default network), NotFound (region), NoCapacity.
        """
        text = description or f"{name}, made by cloudms"
        if not name or name.startswith("sg-") or described(text) != text:
            hint = "letters, digits, spaces and ._-:/()#,@[]+=&;{}!$*, up to 255; a name does not begin with sg-"
            raise Invalid("AWS does not take this name or description", hint=hint)
        where = place(region)[0] if region else self.link.region
        if where not in self.link.regions:
            raise NotFound(f"cloud '{self.name}' does not look at '{region}'", hint="the setting regions adds more")
        if made := self._with_token_group(token, where):
            return self._group_noun(made, where)
        vpc = self.network(where, self.link.settings.subnet, "")[1]
        if self.find_groups(where, vpc, [name]):
            raise Exists(f"{vpc or where} has a security group '{name}'", hint="choose another name")
        pairs = tags.Tags(name=name, token=token, owner=self.setup.owner).pairs()
        more = {"VpcId": vpc} if vpc else {}
        try:
            reply = self.link.call(
                "create_security_group", where, GroupName=name, Description=text,
                TagSpecifications=tags.specification(["security-group"], pairs), **more,
            )  # fmt: skip
        except Exists:  # by somebody else at this moment, or by a request of ours whose answer was lost
            made = self._with_token_group(token, where)
            if made is None:
                raise
            return self._group_noun(made, where)
        return self._seen_group(SecGroup(name=name, id=str(reply["GroupId"]), region=where))

    def _with_token_group(self, token: str, region: str) -> dict[str, Any] | None:
        rows = self._groups(region, token=token) if token else iter(())
        return next((row for row in rows if tags.NAME in tags.plain(row.get("Tags") or ())), None)

    def delete_secgroup(self, group: SecGroup) -> None:
        """Delete a group; already gone is success. Raises: Conflict while VMs are in it, or rules of others name it."""
        try:
            row, region = self._find_group(group)
            self.link.call("delete_security_group", region, GroupId=row["GroupId"])
        except NotFound:
            return
        except Conflict as error:
            raise Conflict(
                f"the security group '{group.name}' is in use",
                hint="cms secgroup list --refresh shows the VMs in it, and the rules of others that name it",
                details=error.details,
            ) from None

    def add_rule(self, group: SecGroup, rule: Rule) -> SecGroup:
        """Let something through; the same rule again is success. Raises: NotFound (group, remote group), Invalid."""
        row, region = self._find_group(group)
        for part in spoken.permissions(rule, self._remote_of(rule, row, region)):
            try:
                self.link.call(_ADDING[rule.direction], region, GroupId=row["GroupId"], IpPermissions=[part])
            except Exists:
                continue
        return self._seen_group(group.with_(id=str(row["GroupId"]), region=region))

    def remove_rule(self, group: SecGroup, rule: Rule) -> SecGroup:
        """Stop letting it through; a rule that is not there is success. Raises: NotFound (group)."""
        row, region = self._find_group(group)
        try:
            remote = self._remote_of(rule, row, region)
        except NotFound:
            return self._seen_group(group.with_(id=str(row["GroupId"]), region=region))
        for part in spoken.permissions(rule, remote):
            try:
                self.link.call(_REMOVING[rule.direction], region, GroupId=row["GroupId"], IpPermissions=[part])
            except NotFound:
                continue
        return self._seen_group(group.with_(id=str(row["GroupId"]), region=region))

    def _remote_of(self, rule: Rule, row: Row, region: str) -> str:
        """Return the id of the group that a rule names in the network of its own; empty for addresses.

        Raises: NotFound.
        """
        if not rule.remote or "/" in rule.remote:
            return ""
        return self.named_groups(region, str(row.get("VpcId") or ""), [rule.remote])[0]

    def _seen_group(self, group: SecGroup) -> SecGroup:
        row, region = self._find_group(group)
        named = [ident for ident in spoken.groups(row) if ident != row["GroupId"]]
        others = self._groups_with(named, region) if named else ()
        names = {str(each["GroupId"]): str(each.get("GroupName")) for each in (row, *others)}
        return self._group_noun(row, region, names, group.vms)

    def _groups_with(self, idents: list[str], region: str) -> Iterator[dict[str, Any]]:
        filters = tags.filters(group_id=idents)
        return self.link.pages("describe_security_groups", "SecurityGroups", region, Filters=filters)

    def _find_group(self, group: SecGroup) -> tuple[dict[str, Any], str]:
        """Return a group as AWS describes it, by id or else token, and its region. Raises: NotFound."""
        for region in (group.region,) if group.region else self.link.regions:
            rows = self._groups(region, group_id=group.id) if group.id else self._groups(region, token=group.token)
            for row in rows if group.id or group.token else ():
                return row, region
        raise NotFound(f"cloud '{self.name}' has no security group '{group.name}'", hint="cms secgroup list")
