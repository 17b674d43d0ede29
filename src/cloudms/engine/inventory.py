"""VMs as Ansible and ssh see them: how each is reached, and the groups they are in.

The JSON is that of Ansible's inventory scripts (docs.ansible.com, "Developing dynamic inventory"): groups with their
hosts, and the variables of all hosts below `_meta`, so that one call tells everything.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from cloudms import paths, ssh
from cloudms.context import Context
from cloudms.engine import groups
from cloudms.fanout.host import Host, hosts_of
from cloudms.model import Group, Origin, Vm
from cloudms.record import Record

_RESERVED = ("all", "ungrouped", "_meta")
"""Names that mean something else to Ansible."""
_FACTS = ("cloud", "id", "region", "state", "image", "flavor", "group", "private_ips", "public_ips")


class Inventory(Record):
    """What Ansible is told: the variables of each host by its name, and the hosts of each group."""

    hosts: Mapping[str, Mapping[str, Any]]
    groups: Mapping[str, Sequence[str]]


def reachable(vms: Iterable[Vm]) -> list[Vm]:
    """Return those VMs that have an address and were not made by others, whose keys nobody here has."""
    return [vm for vm in vms if vm.ssh_host and vm.origin is not Origin.FOREIGN]


def inventory(ctx: Context, vms: Sequence[Vm], known: Sequence[Group]) -> Inventory:
    """Return the inventory of some VMs, with groups by cms group (`known`), cloud, state and label."""
    found: dict[str, list[str]] = {}
    for vm in vms:
        for name in _groups_of(vm, known):
            found.setdefault(name, []).append(vm.name)
    hosts = {vm.name: variables(vm, host) for vm, host in zip(vms, hosts_of(ctx, vms), strict=True)}
    return Inventory(hosts=hosts, groups=found)


def _groups_of(vm: Vm, known: Sequence[Group]) -> Iterator[str]:
    for group in known:
        if groups.is_member(group, vm):
            name = word(group.name)
            yield f"group_{name}" if name in _RESERVED or name.startswith(("cloud_", "state_", "label_")) else name
    yield word(f"cloud_{vm.cloud}")
    yield word(f"state_{vm.state}")
    for key, value in vm.labels.items():
        yield word(f"label_{key}_{value}" if value else f"label_{key}")


def word(text: str) -> str:
    """Return text as the name of an Ansible group: letters, digits and underscores, no digit first."""
    name = re.sub(r"[^A-Za-z0-9_]", "_", text)
    return f"_{name}" if name[:1].isdigit() else name


def variables(vm: Vm, host: Host) -> dict[str, Any]:
    """Return the variables of a host: how it is reached with its host key pinned, and what is known of it."""
    found: dict[str, Any] = {
        "ansible_host": vm.ssh_host,
        "ansible_port": vm.ssh_port,
        "ansible_user": vm.login or "root",
    }
    if vm.ssh_key:
        found["ansible_ssh_private_key_file"] = vm.ssh_key
    found["ansible_ssh_common_args"] = shlex.join(_options(vm, host))
    found |= {f"cms_{name}": _harmless(getattr(vm, name)) for name in _FACTS}
    found["cms_labels"] = _harmless(dict(vm.labels))
    return found


def _options(vm: Vm, host: Host) -> list[str]:
    """Return ssh's own options for a VM; what Ansible sets itself is left to it."""
    its = ("ConnectTimeout=", "LogLevel=", "IdentityFile=")
    words = [word for word in ssh.options(vm) if word != "-o" and not word.startswith(its)]
    through = proxy(host)
    words += [f"ProxyCommand={through}"] if through else []
    return [part for word in words for part in ("-o", word)]


def proxy(host: Host) -> str:
    """Return the ProxyCommand of ssh_config(5) that leads through the bastions of a host, or an empty string.

    Unlike ProxyJump it can tell the key and the pinned host key of a bastion that is a VM.
    """
    command = ""
    for place, jump in enumerate(host.jump):
        following = host.jump[place + 1] if place + 1 < len(host.jump) else None
        aim = f"[{following.address}]:{following.port or 22}" if following else "[%h]:%p"
        words = ["ssh", "-W", aim]
        if command:
            words += ["-o", f"ProxyCommand={command}"]
        if jump.port:
            words += ["-p", str(jump.port)]
        if jump.alias:
            words += ["-o", f"HostKeyAlias={jump.alias}", "-o", f'UserKnownHostsFile="{paths.known_hosts()}"']
        if jump.key_file:
            words += ["-o", "IdentitiesOnly=yes", "-i", jump.key_file]
        command = shlex.join([*words, f"{jump.login}@{jump.address}" if jump.login else jump.address])
    return command


def _harmless(value: Any) -> Any:
    """Return a value in which Ansible sees no template: labels come from a cloud that others may write to, too."""
    if isinstance(value, str):
        return re.sub(r"\{(?=[{%#])", "{ ", value)
    if isinstance(value, Mapping):
        return {_harmless(str(key)): _harmless(item) for key, item in value.items()}
    return [_harmless(item) for item in value] if isinstance(value, list | tuple) else value


def as_json(found: Inventory) -> dict[str, Any]:
    """Return what an inventory script answers to `--list`."""
    listed: dict[str, Any] = {name: {"hosts": list(hosts)} for name, hosts in sorted(found.groups.items())}
    children = {"children": [*sorted(found.groups), "ungrouped"]}
    return {"_meta": {"hostvars": found.hosts}, "all": {**children, "hosts": list(found.hosts)}, **listed}


def as_yaml(found: Inventory) -> str:
    """Return a plain inventory file in YAML (of which JSON is a part: each line of a host is its JSON)."""
    import json

    lines = ["# made by cms inventory", "all:", "  hosts:" if found.hosts else "  hosts: {}"]
    for name, facts in found.hosts.items():
        lines.append(f"    {json.dumps(name)}:")
        lines += [f"      {key}: {json.dumps(value)}" for key, value in facts.items()]
    lines.append("  children:" if found.groups else "  children: {}")
    for group, hosts in sorted(found.groups.items()):
        lines += [f"    {group}:", "      hosts:", *(f"        {json.dumps(name)}:" for name in hosts)]
    return "\n".join(lines)


def as_ini(found: Inventory) -> str:
    """Return a plain inventory file in INI; labels and addresses, which it has no way to hold, are left out."""
    lines = ["# made by cms inventory"]
    for name, facts in found.hosts.items():
        plain = (shlex.quote(f"{key}={value}") for key, value in facts.items() if isinstance(value, str | int))
        lines.append(" ".join([name, *plain]))
    for group, hosts in sorted(found.groups.items()):
        lines += ["", f"[{group}]", *hosts]
    return "\n".join(lines)
