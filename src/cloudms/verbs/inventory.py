"""`cms inventory`: VMs as an inventory of Ansible, dynamic or as a file."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from cloudms.context import Context, not_found
from cloudms.engine import groups
from cloudms.engine.inventory import Inventory, as_ini, as_json, as_yaml, inventory, reachable
from cloudms.engine.labels import has
from cloudms.engine.refresh import wants_fresh
from cloudms.model import Vm
from cloudms.verb import Doc, Names, verb
from cloudms.verbs.labels import Labels
from cloudms.verbs.lists import Cached, CloudName, Refresh

OfGroup = Annotated[str | None, Doc("only members of this group"), Names("group")]
On = Annotated[str, Doc("only these of its members, such as web-[1-3]")]


@verb("inventory", streams=True, example="cms inventory --list --group web")
def inventory_(
    ctx: Context,
    *,
    list: Annotated[bool, Doc("all hosts and groups, as Ansible asks for them; also without it")] = False,  # noqa: A002
    host: Annotated[str | None, Doc("the variables of one host only"), Names("vm")] = None,
    group: OfGroup = None,
    on: On = "",
    cloud: CloudName = None,
    label: Labels = None,
    format: Annotated[Literal["json", "yaml", "ini"], Doc("json is dynamic, the others are files")] = "json",  # noqa: A002
    script: Annotated[bool, Doc("print a program that asks again whenever Ansible runs it")] = False,
    cached: Cached = False,
    refresh: Refresh = False,
) -> Iterator[str]:
    """Print VMs as an inventory of Ansible: how each is reached, and the groups it is in.

    Those are the groups of cloudms by name, `cloud_NAME`, `state_STATE` and `label_KEY_VALUE`. Host keys are pinned.
    VMs without an address and those that others made are left out.

    With `--script` it prints a program for `ansible -i`: write it to a file and make that executable.
    """
    if script:
        yield from _script(group or "", on, cloud or "", label)
        return
    fresh = wants_fresh(ctx, cached=cached, refresh=refresh)
    found = _found(ctx, group or "", on, cloud or "", label, fresh=fresh)
    if host is not None:
        if host not in found.hosts:
            raise not_found("host", host, found.hosts, "cms inventory --list")
        yield json.dumps(found.hosts[host], indent=2)
    elif format == "json":
        yield json.dumps(as_json(found), indent=2)
    else:
        yield as_yaml(found) if format == "yaml" else as_ini(found)


def _found(ctx: Context, group: str, on: str, cloud: str, label: Mapping[str, str] | None, *, fresh: bool) -> Inventory:
    chosen = ctx.cloud_names(cloud) if cloud or ctx.chosen_cloud else ()
    known = groups.all_vms(ctx, fresh=fresh, clouds=chosen)
    vms: Iterator[Vm] = iter(groups.members(ctx, group, on)) if group else iter(known)
    wanted = [vm for vm in vms if (not chosen or vm.cloud in chosen) and has(vm, label)]
    return inventory(ctx, reachable(wanted), groups.every(ctx, known))


def _script(group: str, on: str, cloud: str, label: Mapping[str, str] | None) -> Iterator[str]:
    """Yield the lines of a program that asks this cloudms, with this choice."""
    words = [sys.executable, "-m", "cloudms", "inventory"]
    for option, value in (("--group", group), ("--on", on), ("--cloud", cloud)):
        words += [option, value] if value else []
    words += [word for key, value in (label or {}).items() for word in ("--label", f"{key}={value}")]
    yield "#!/bin/sh"
    yield "# The inventory of cloudms for Ansible: ansible -i THIS-FILE all -m ping"
    folder = os.environ.get("CLOUDMESH_CONFIG_DIR")
    if folder:
        yield f"export CLOUDMESH_CONFIG_DIR={shlex.quote(folder)}"
    yield f'exec {shlex.join(words)} --output table "$@"'
