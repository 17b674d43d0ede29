"""The security groups of a new VM: one per owner that lets SSH in, and one per request for the ports it opens beside.

Both are found or made when a VM is made. Neutron lets two groups have one name, so what two processes made at once is
found by its mark, and the one with the lowest id counts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from cloudms.clouds import notes
from cloudms.clouds.base import OpenPorts
from cloudms.clouds.openstack import marks
from cloudms.clouds.openstack.beside import Beside
from cloudms.clouds.openstack.errors import code_of
from cloudms.clouds.ports import SSH, Port
from cloudms.errors import CloudmsError, Conflict, Exists, NotFound, Unsupported

NONE = "none"
"""The setting `security_group` for clouds without any."""
_SAME = "SecurityGroupRuleExists"


class Guarding(Beside, OpenPorts):
    """The groups that a VM gets."""

    def groups(self, region: str, owner: str, token: str, opened: Sequence[Port]) -> list[str]:
        """Return the ids of the groups of a new VM: the configured ones or the owner's, and that of its own ports.

        Raises: NotFound (a configured group is not there), Unsupported (ports on a cloud without groups), Denied.
        """
        wanted = self.link.settings.security_groups
        if wanted == (NONE,) or not self.link.has("network", region):
            if opened:
                raise Unsupported(f"cloud '{self.name}' is used without security groups", hint="leave --open out")
            return []
        found = self._configured(region, wanted) if wanted else [self.ssh_group(region, owner)]
        if opened:
            mark = marks.description(notes.base_token(token)[0], owner, "Ports of one VM")
            found.append(self.guard_group(region, port_group(token), mark, opened))
        return found

    def asked_groups(self, region: str, words: Any) -> list[str]:
        """Return the ids of the groups that a VM is asked for with, by name or id. Raises: NotFound, Unsupported."""
        wanted = [str(word) for word in ([words] if isinstance(words, str) else words or ()) if word]
        if not wanted:
            return []
        if not self.link.has("network", region):
            raise Unsupported(f"cloud '{self.name}' is used without security groups", hint="leave --secgroup out")
        return self._configured(region, wanted, f"cms secgroup list --cloud {self.name}")

    def ssh_group(self, region: str, owner: str) -> str:
        """Return the id of the owner's group, which lets SSH in from everywhere; made when missing."""
        mark = marks.description("", owner, "SSH to the VMs of cloudms")
        return self.guard_group(region, ssh_group(owner), mark, [Port(low=SSH, high=SSH)])

    def _configured(
        self, region: str, wanted: Sequence[str], hint: str = "correct the setting security_group"
    ) -> list[str]:
        rows = list(self.link.pages("network", "/security-groups", "security_groups", region, **self.ours()))
        by_name = {str(row.get("name")): str(row["id"]) for row in rows}
        idents = set(by_name.values())
        missing = next((word for word in wanted if word not in by_name and word not in idents), "")
        if missing:
            raise NotFound(f"there is no security group '{missing}' in {region}", hint=hint)
        return [by_name.get(word, word) for word in wanted]

    def guard_group(self, region: str, name: str, mark: str, ports: Sequence[Port]) -> str:
        """Return the id of a group that lets these ports in; made, or finished, when it is not.

        A group of ours that has rules for what comes in is left as it is: its owner may have narrowed them.
        """
        row = self.made_once(
            lambda: self.guard_row(region, name),
            lambda: self.link.post(
                "network", "/security-groups", {"security_group": {"name": name, "description": mark}}, region
            )["security_group"],
        )
        if not any(rule.get("direction") == "ingress" for rule in row.get("security_group_rules") or ()):
            for rule in _rules(str(row["id"]), ports):
                self._let_in(rule, region)
        return str(row["id"])

    def guard_row(self, region: str, name: str) -> dict[str, Any] | None:
        """Return the group of ours with a name, or None."""
        rows = self.link.pages("network", "/security-groups", "security_groups", region, name=name, **self.ours())
        return min(rows, key=lambda row: str(row["id"]), default=None)

    def _let_in(self, rule: Mapping[str, Any], region: str) -> None:
        try:
            self.link.post("network", "/security-group-rules", {"security_group_rule": rule}, region)
        except CloudmsError as error:
            if code_of(error) != _SAME and not isinstance(error, Exists):
                raise

    def leave_group(self, ident: str, region: str, token: str) -> bool:
        """Take a VM out of the group of its own ports, so that the group can be deleted; tell whether it was in one."""
        group = self.guard_row(region, port_group(token))
        if group is None:
            return False
        for port in self.link.pages("network", "/ports", "ports", region, device_id=ident):
            groups = port.get("security_groups") or []
            rest = [each for each in groups if each != group["id"]]
            if len(rest) < len(groups):
                self._regroup(str(port["id"]), rest, region)
        return True

    def _regroup(self, port: str, groups: Sequence[str], region: str) -> None:
        """Give a port other groups; where that cannot be, the group stays until the VM is gone, and is then swept."""
        try:
            self.link.put("network", f"/ports/{port}", {"port": {"security_groups": list(groups)}}, region)
        except CloudmsError as error:
            if error.code not in ("conflict", "not_found", "invalid", "denied"):
                raise

    def drop_group(self, region: str, token: str) -> bool:
        """Delete the group of a request's own ports; tell whether it is gone (other VMs may still stand behind it)."""
        row = self.guard_row(region, port_group(token))
        if row is None:
            return True
        try:
            self.drop("network", f"/security-groups/{row['id']}", region)
        except Conflict:
            return False
        return True


def ssh_group(owner: str) -> str:
    """Return the name of the group that an owner's VMs have in common."""
    return f"cms-{re.sub(r'[^A-Za-z0-9_.@-]', '-', owner) or 'vms'}"[:255]


def port_group(token: str) -> str:
    """Return the name of the group of a request's own ports."""
    return f"cms-ports-{notes.base_token(token)[0]}"[:255]


def _rules(group: str, ports: Sequence[Port]) -> list[dict[str, Any]]:
    """Return neutron's rules that let ports in from everywhere, by IPv4 and IPv6."""
    return [
        {
            "security_group_id": group, "direction": "ingress", "ethertype": family, "protocol": port.protocol,
            "port_range_min": port.low, "port_range_max": port.high,
        }
        for port in ports for family in ("IPv4", "IPv6")
    ]  # fmt: skip
