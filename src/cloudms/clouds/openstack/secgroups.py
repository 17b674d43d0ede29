"""Security groups of Neutron, in whatever words their rules are written.

Neutron keeps a rule for IPv4 and one for IPv6; both together are one rule for everybody here. A new group has two rules
that let everything out, which Neutron adds by itself.
https://docs.openstack.org/api-ref/network/v2/#security-groups-security-groups
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from cloudms.clouds.base import SecGroups
from cloudms.clouds.openstack import marks, rules
from cloudms.clouds.openstack.beside import Beside, Row
from cloudms.clouds.openstack.errors import code_of
from cloudms.errors import CloudmsError, Conflict, Exists, NotFound
from cloudms.model import Rule, SecGroup

_SAME = "SecurityGroupRuleExists"


class Grouping(Beside, SecGroups):
    """Making, changing and deleting security groups."""

    def list_secgroups(self) -> Iterable[SecGroup]:
        """Yield the security groups of the project, each with the VMs in it."""
        return self.link.each_region(self._groups_in)

    def _groups_in(self, region: str) -> Iterator[SecGroup]:
        rows = list(self._groups(region))
        names = {str(row["id"]): str(row.get("name")) for row in rows}
        members = self._members_in(region)
        vms = self.vm_names({vm for each in members.values() for vm in each}, region)
        for row in rows:
            inside = sorted(vms[vm] for vm in members.get(str(row["id"]), ()) if vm in vms)
            yield self._group_noun(row, region, names, inside)

    def _groups(self, region: str, **narrow: str) -> Iterator[dict[str, Any]]:
        return self.link.pages("network", "/security-groups", "security_groups", region, **self.ours(), **narrow)

    def _members_in(self, region: str) -> dict[str, set[str]]:
        """Return the ids of the VMs in each group."""
        found: dict[str, set[str]] = {}
        fields = ["id", "device_id", "device_owner", "security_groups"]
        for port in self.link.pages("network", "/ports", "ports", region, **self.ours(), fields=fields):
            if str(port.get("device_owner")).startswith("compute:"):
                for group in port.get("security_groups") or ():
                    found.setdefault(str(group), set()).add(str(port.get("device_id")))
        return found

    def _group_noun(
        self, row: Row, region: str, names: Mapping[str, str] | None = None, vms: Sequence[str] = ()
    ) -> SecGroup:
        mark, ident = marks.described(row), str(row.get("id"))
        return SecGroup(
            name=str(row.get("name") or ident), cloud=self.name, id=ident, region=region, description=mark.text,
            rules=rules.shown(row.get("security_group_rules") or (), names or {}), vms=tuple(vms), owner=mark.owner,
            token=mark.token, fetched=self.clock.now(), raw=row,
        )  # fmt: skip

    def create_secgroup(self, name: str, description: str, token: str, region: str = "") -> SecGroup:
        """Make a group that lets nothing in and everything out; idempotent by token.

        Raises: Exists (the name has another), Invalid (description), NotFound (region), NoCapacity.
        """
        where = self.new_place(region)[0]
        text = marks.description(token, self.setup.owner, description)

        def make() -> dict[str, Any]:
            if any(row.get("name") == name for row in self._groups(where, name=name)):
                raise Exists(f"cloud '{self.name}' already has a security group '{name}'", hint="choose another name")
            body = {"security_group": {"name": name, "description": text}}
            made: dict[str, Any] = self.link.post("network", "/security-groups", body, where)["security_group"]
            return made

        return self._group_noun(self.made_once(lambda: self._group_of_token(token, where), make), where)

    def _group_of_token(self, token: str, region: str) -> dict[str, Any] | None:
        if not token:
            return None
        return next((row for row in self._groups(region) if marks.described(row).token == token), None)

    def delete_secgroup(self, group: SecGroup) -> None:
        """Delete a group; already gone is success. Raises: Conflict (VMs are in it, or it is the default one)."""
        try:
            row, region = self._find_group(group)
            self.link.delete("network", f"/security-groups/{row['id']}", region)
        except NotFound:
            return
        except Conflict as error:
            if code_of(error) != "SecurityGroupInUse":
                raise
            raise Conflict(
                f"VMs are in the security group '{group.name}'",
                hint=f"cms secgroup list --cloud {self.name} shows which",
                details=error.details,
            ) from None

    def add_rule(self, group: SecGroup, rule: Rule) -> SecGroup:
        """Let something through; the same rule again is success. Raises: NotFound (group, remote group), Invalid."""
        row, region = self._find_group(group)
        remote = self._remote_of(rule, region)
        for body in rules.bodies(rule, remote):
            try:
                asked = {"security_group_rule": {"security_group_id": row["id"], **body}}
                self.link.post("network", "/security-group-rules", asked, region)
            except CloudmsError as error:
                if code_of(error) != _SAME and not isinstance(error, Exists):
                    raise
        return self._seen_group(group.with_(id=str(row["id"]), region=region))

    def remove_rule(self, group: SecGroup, rule: Rule) -> SecGroup:
        """Stop letting it through; a rule that is not there is success. Raises: NotFound (group), Invalid."""
        row, region = self._find_group(group)
        for ident in self._rule_ids(row, rule, region):
            try:
                self.link.delete("network", f"/security-group-rules/{ident}", region)
            except NotFound:
                continue
        return self._seen_group(group.with_(id=str(row["id"]), region=region))

    def _rule_ids(self, row: Row, rule: Rule, region: str) -> list[str]:
        """Return the ids of Neutron's rules that are a rule."""
        known: Sequence[Row] = row.get("security_group_rules") or ()
        try:
            remote = self._remote_of(rule, region)
        except NotFound:
            return []  # there is no such group any more, nor rules of it
        wanted = {rules.identity(body) for body in rules.bodies(rule, remote)}
        return [str(each["id"]) for each in known if rules.identity(each) in wanted]

    def _remote_of(self, rule: Rule, region: str) -> str:
        """Return the id of the group that a rule is about; empty when it is about addresses. Raises: NotFound."""
        if not rule.remote or rules.is_network(rule.remote):
            return ""
        return str(self._find_group(SecGroup(name=rule.remote, region=region))[0]["id"])

    def _seen_group(self, group: SecGroup) -> SecGroup:
        row, region = self._find_group(group)
        names = {str(each["id"]): str(each.get("name")) for each in self._groups(region)}
        return self._group_noun(row, region, names, group.vms)

    def _find_group(self, group: SecGroup) -> tuple[dict[str, Any], str]:
        """Return a group by id, else token, else its name or id in place of the name. Raises: NotFound."""
        for region in self.regions_of(group.region):
            if group.token and not group.id:
                row = self._group_of_token(group.token, region)
            else:
                row = self._group_with_id(group.id or group.name, region)
            if row is None and not group.id and not group.token:
                named = self._groups(region, name=group.name)
                row = next((each for each in named if each.get("name") == group.name), None)
            if row is not None:
                return row, region
        raise NotFound(f"cloud '{self.name}' has no security group '{group.name}'", hint="cms secgroup list")

    def _group_with_id(self, ident: str, region: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] | None = self.link.get(
                "network", f"/security-groups/{quote(ident, safe='')}", region
            ).get("security_group")
        except NotFound:
            return None
        return found
