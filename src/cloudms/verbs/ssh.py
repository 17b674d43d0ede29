"""Reach VMs with your own SSH."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from typing import Annotated

from cloudms import ssh
from cloudms.context import Context
from cloudms.engine import groups
from cloudms.engine.inventory import proxy, reachable
from cloudms.engine.process import become
from cloudms.engine.refresh import list_vms, wants_fresh
from cloudms.engine.select import vm
from cloudms.errors import NotReady, Unsupported
from cloudms.fanout.host import hosts_of
from cloudms.model import Vm
from cloudms.verb import LOCAL, Doc, Names, Rest, verb
from cloudms.verbs.lists import Cached, CloudName, Refresh
from cloudms.verbs.vm.names import OneVm

Command = Annotated[list[str], Doc("command to run instead of a shell, after --"), Rest()]


@verb("vm", "ssh", doors=LOCAL, streams=True, example="cms vm ssh web1 -- uptime")
def vm_ssh(
    ctx: Context,
    name: OneVm,
    command: Command = [],  # noqa: B006 (never changed)
    *,
    cloud: CloudName = None,
) -> Iterator[str]:
    """Open a shell on a VM, or run one command there; the exit code is the command's."""
    yield from _connect(ctx, name, command, cloud or "")


@verb("ssh", doors=LOCAL, streams=True, example="cms ssh web1 -- python3 --version")
def top_ssh(
    ctx: Context,
    name: OneVm,
    command: Command = [],  # noqa: B006 (never changed)
    *,
    cloud: CloudName = None,
) -> Iterator[str]:
    """Open a shell on a VM, or run one command there (the same as vm ssh)."""
    yield from _connect(ctx, name, command, cloud or "")


def _connect(ctx: Context, name: str, command: list[str], cloud: str) -> Iterator[str]:
    """Hand terminal, signals and exit code over to `ssh`."""
    found = vm(ctx, name, cloud=cloud)
    if ctx.cloud_class(found.cloud).simulated:
        yield f"{found.name} is simulated: this is what would run"
        yield shlex.join([*ssh.command(found, ask=True), *_remote(command)])
        return
    if found.state not in ("running", "pending", "rebooting", "unknown"):
        raise NotReady(f"{found.name} is {found.state}", hint=f"cms vm start {found.name}")
    terminal = os.isatty(0) and os.isatty(1)
    words = [*ssh.command(found, ask=os.isatty(0), tty=terminal and bool(command)), *_remote(command)]
    try:
        become(ctx, words)
    except FileNotFoundError:
        raise Unsupported("the ssh command is missing", hint="apt-get install openssh-client") from None


def _remote(command: list[str]) -> list[str]:
    """Return the remote command: one word is a shell line, several are passed on word by word."""
    return command if len(command) < 2 else [shlex.join(command)]


@verb("ssh-config", streams=True, example="cms ssh-config > ~/.ssh/cloudms.config")
def ssh_config(
    ctx: Context,
    *,
    group: Annotated[str | None, Doc("only members of this group"), Names("group")] = None,
    on: Annotated[str, Doc("only these of its members, such as web-[1-3]")] = "",
    cloud: CloudName = None,
    cached: Cached = False,
    refresh: Refresh = False,
) -> Iterator[str]:
    """Print an ssh_config(5) section for every VM, so that ssh, scp, rsync and editors reach it by name.

    Write it to a file and add `Include ~/.ssh/cloudms.config` at the top of ~/.ssh/config.
    """
    listing = list_vms(ctx, ctx.cloud_names(cloud or ""), fresh=wants_fresh(ctx, cached=cached, refresh=refresh))
    found = [item for item in listing.items if isinstance(item, Vm)]
    if group:
        members = {each.key for each in groups.members(ctx, group, on)}
        found = [each for each in found if each.key in members]
    found = reachable(found)
    for each, host in zip(found, hosts_of(ctx, found), strict=True):
        yield from section(each, proxy(host))


def section(found: Vm, through: str = "") -> Iterator[str]:
    """Yield the lines of one VM's section, which is reached `through` a command of its own where that is given."""
    yield f"Host {found.name}"
    yield f"    HostName {found.ssh_host}"
    yield f"    Port {found.ssh_port}"
    yield f"    User {found.login or 'root'}"
    words = [word for word in ssh.options(found) if word != "-o"]
    for setting in words:
        key, _, value = setting.partition("=")
        if key not in ("ConnectTimeout", "LogLevel"):
            yield f"    {key} {value}"
    if through:
        yield f"    ProxyCommand {through}"
    yield ""
