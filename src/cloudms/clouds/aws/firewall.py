"""Security groups: one per owner and network that lets SSH in, and one per request for the ports it opens beside.

Both are found or made when a VM is made, by several processes at once without harm: AWS refuses a second group of one
name, and a second rule of one kind, and that refusal is as good as success.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from cloudms.clouds import notes
from cloudms.clouds.aws import tags
from cloudms.clouds.aws.core import Core
from cloudms.clouds.aws.errors import code_of
from cloudms.clouds.base import OpenPorts
from cloudms.clouds.ports import SSH, Port, ports
from cloudms.errors import CloudmsError, Exists, Invalid, NotFound

EVERYWHERE = ({"IpRanges": [{"CidrIp": "0.0.0.0/0"}]}, {"Ipv6Ranges": [{"CidrIpv6": "::/0"}]})


class Firewall(Core, OpenPorts):
    """The groups that a VM gets."""

    def groups(self, region: str, vpc: str, owner: str, token: str, opened: Sequence[Port]) -> list[str]:
        """Return the ids of the groups of a new VM: the configured ones or the owner's, and that of its own ports.

        Raises: NotFound (a configured group is not there), Denied.
        """
        found = self.configured_groups(region, vpc) or self._older_group(region, vpc)
        found = found or [self.ssh_group(region, vpc, owner)]
        if opened:
            mark = {notes.TOKEN: notes.base_token(token)[0], notes.OWNER: owner}
            text = f"Ports of {owner}'s VM, opened by cloudms"
            found.append(self.group(region, vpc, port_group(token), text, mark, opened))
        return found

    def ssh_group(self, region: str, vpc: str, owner: str) -> str:
        """Return the id of the owner's group in a network, which lets SSH in from everywhere; made when missing."""
        text = f"SSH to the VMs of {owner}, made by cloudms"
        return self.group(region, vpc, ssh_group(owner), text, {notes.OWNER: owner}, [Port(low=SSH, high=SSH)])

    def configured_groups(self, region: str, vpc: str) -> list[str]:
        """Return the ids of the groups that the settings name. Raises: NotFound."""
        wanted = [word.strip() for word in self.link.settings.security_group.split(",") if word.strip()]
        if not wanted:
            return []
        names = [word for word in wanted if not word.startswith("sg-")]
        ids = {row["GroupName"]: row["GroupId"] for row in self.find_groups(region, vpc, names)} if names else {}
        missing = [name for name in names if name not in ids]
        if missing:
            raise NotFound(
                f"there is no security group '{missing[0]}' in {vpc or region}",
                hint="correct the setting security_group",
            )
        return [ids.get(word, word) for word in wanted]

    def _older_group(self, region: str, vpc: str) -> list[str]:
        """Return the id of the group that the ancestors' file names, where the account has one of that name."""
        name = self.link.settings.older_group
        return [str(row["GroupId"]) for row in self.find_groups(region, vpc, [name])[:1]] if name else []

    def find_groups(self, region: str, vpc: str, names: Sequence[str]) -> list[dict[str, Any]]:
        """Return the groups of a network with these names."""
        wanted = tags.filters(group_name=names, **({"vpc_id": vpc} if vpc else {}))
        return list(self.link.pages("describe_security_groups", "SecurityGroups", region, Filters=wanted))

    def named_groups(self, region: str, vpc: str, wanted: Sequence[str]) -> list[str]:
        """Return the ids of the groups of a network with these names or ids, each once. Raises: NotFound."""
        if not wanted:
            return []
        narrow = tags.filters(vpc_id=vpc) if vpc else []
        rows: list[dict[str, Any]] = []
        for word in ("group-id", "group-name"):
            asked = [*narrow, {"Name": word, "Values": list(wanted)}]
            rows += self.link.pages("describe_security_groups", "SecurityGroups", region, Filters=asked)
        ids = {str(row[key]): str(row["GroupId"]) for key in ("GroupName", "GroupId") for row in rows}
        for name in wanted:
            if name not in ids:
                raise NotFound(
                    f"there is no security group '{name}' in {vpc or region}",
                    hint=f"cms secgroup list --cloud {self.name}",
                )
        return list(dict.fromkeys(ids[name] for name in wanted))

    def group(self, region: str, vpc: str, name: str, text: str, mark: Mapping[str, str], ports: Sequence[Port]) -> str:
        """Return the id of a group that lets these ports in; made, or finished, when it is not.

        A group of ours that has rules is left as it is: its owner may have narrowed them.
        """
        rows = self.find_groups(region, vpc, [name])
        if rows and rows[0].get("IpPermissions"):
            return str(rows[0]["GroupId"])
        ident = str(rows[0]["GroupId"]) if rows else self._make_group(region, vpc, name, text, mark)
        try:
            self.link.call("authorize_security_group_ingress", region, GroupId=ident, IpPermissions=permissions(ports))
        except Exists:
            return ident
        return ident

    def _make_group(self, region: str, vpc: str, name: str, text: str, mark: Mapping[str, str]) -> str:
        pairs = {tags.SHOWN: name, **mark}
        more = {"VpcId": vpc} if vpc else {}
        try:
            reply = self.link.call(
                "create_security_group", region, GroupName=name, Description=described(text),
                TagSpecifications=tags.specification(["security-group"], pairs), **more,
            )  # fmt: skip
        except Exists:
            rows = self.find_groups(region, vpc, [name])
            if not rows:
                raise
            return str(rows[0]["GroupId"])
        return str(reply["GroupId"])

    def drop_group(self, region: str, token: str) -> bool:
        """Delete the group of a request's own ports; tell whether it is gone (other VMs may still stand behind it)."""
        name = port_group(token)
        gone = True
        for row in self.find_groups(region, "", [name]):
            try:
                self.link.call("delete_security_group", region, GroupId=row["GroupId"])
            except NotFound:
                continue
            except CloudmsError as error:
                if code_of(error) not in ("DependencyViolation", "InvalidGroup.InUse"):
                    raise
                gone = False
        return gone

    def leave_group(self, row: Mapping[str, Any], region: str, token: str) -> bool:
        """Take a VM out of the group of its own ports, so that the group can be deleted; tell whether it was in one."""
        name, was_in = port_group(token), False
        for card in row.get("NetworkInterfaces") or ():
            groups = card.get("Groups") or ()
            rest = [group["GroupId"] for group in groups if group.get("GroupName") != name]
            if len(rest) < len(groups):
                was_in = True
                self._regroup(region, str(card["NetworkInterfaceId"]), rest)
        return was_in

    def rejoin_group(self, row: Mapping[str, Any], region: str, token: str) -> None:
        """Put a VM back into the group of its own ports, since it stays; where that cannot be, it goes without."""
        for card in row.get("NetworkInterfaces") or ():
            groups = card.get("Groups") or ()
            if any(group.get("GroupName") == port_group(token) for group in groups):
                try:
                    self._regroup(region, str(card["NetworkInterfaceId"]), [group["GroupId"] for group in groups])
                except CloudmsError:
                    return

    def _regroup(self, region: str, card: str, groups: Sequence[str]) -> None:
        """Give a card other groups; where that cannot be, the group stays until the VM is gone, and is then swept."""
        if not groups:
            return
        try:
            self.link.call("modify_network_interface_attribute", region, NetworkInterfaceId=card, Groups=list(groups))
        except CloudmsError as error:
            if error.code not in ("conflict", "not_found", "invalid", "unsupported"):
                raise

    def network(self, region: str, wanted: str, zone: str) -> tuple[str, str]:
        """Return subnet (empty: the default one) and VPC of a new VM.

        Parameters: `wanted` is a subnet's id or Name, or a VPC's id. Raises: NotFound, Invalid (no default VPC).
        """
        if not wanted:
            return "", self._default_vpc(region)
        if wanted.startswith("subnet-"):
            filters = tags.filters(subnet_id=wanted)
        elif wanted.startswith("vpc-"):
            filters = tags.filters(vpc_id=wanted)
        else:
            filters = [{"Name": "tag:Name", "Values": [wanted]}]
        if zone and not wanted.startswith("subnet-"):
            filters += tags.filters(availability_zone=zone)
        rows = list(self.link.pages("describe_subnets", "Subnets", region, Filters=filters))
        if not rows:
            place = f"{region}, zone {zone}" if zone else region
            raise NotFound(f"there is no subnet '{wanted}' in {place}", hint="name a subnet by its id or Name")
        best = max(rows, key=lambda row: int(row.get("AvailableIpAddressCount") or 0))
        return str(best["SubnetId"]), str(best.get("VpcId") or "")

    def _default_vpc(self, region: str) -> str:
        rows = self.link.call("describe_vpcs", region, Filters=tags.filters(is_default="true")).get("Vpcs") or ()
        if not rows:
            raise Invalid(
                f"there is no default network in {region}",
                hint="set subnet for this cloud (or --network), or: aws ec2 create-default-vpc",
            )
        return str(rows[0]["VpcId"])


def ssh_group(owner: str) -> str:
    """Return the name of the group that an owner's VMs have in common."""
    return f"cms-{re.sub(r'[^A-Za-z0-9_.@-]', '-', owner) or 'vms'}"[:255]


def port_group(token: str) -> str:
    """Return the name of the group of a request's own ports."""
    return f"cms-ports-{notes.base_token(token)[0]}"[:255]


def permissions(ports: Sequence[Port]) -> list[dict[str, Any]]:
    """Return `IpPermissions` that let ports in from everywhere, by IPv4 and IPv6."""
    ranges = {**EVERYWHERE[0], **EVERYWHERE[1]}
    return [{"IpProtocol": each.protocol, "FromPort": each.low, "ToPort": each.high, **ranges} for each in ports]


def described(text: str) -> str:
    """Return a description in the characters that AWS takes for one."""
    return re.sub(r"[^A-Za-z0-9 ._\-:/()#,@\[\]+=&;{}!$*]", "", text)[:255]


__all__ = ["EVERYWHERE", "Firewall", "permissions", "port_group", "ports", "ssh_group"]
