"""`cms ansible`: run a playbook of Ansible over VMs."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

from cloudms import paths
from cloudms.context import Context
from cloudms.engine import groups
from cloudms.engine.inventory import as_yaml, inventory, reachable, word
from cloudms.engine.labels import narrow
from cloudms.engine.process import become
from cloudms.engine.select import vms as chosen
from cloudms.errors import NotReady, Unsupported
from cloudms.model import Vm, VmState
from cloudms.verb import LOCAL, Doc, File, Rest, verb
from cloudms.verbs.inventory import OfGroup, On
from cloudms.verbs.labels import Labels

_PROGRAM = "ansible-playbook"


@verb("ansible", doors=LOCAL, streams=True, example="cms ansible site.yaml --group web -- --check")
def ansible(
    ctx: Context,
    playbook: Annotated[Path, Doc("playbook to run"), File()],
    more: Annotated[list[str], Doc("further options of ansible-playbook, after --"), Rest()] = [],  # noqa: B006 (never changed)
    *,
    group: OfGroup = None,
    on: On = "",
    label: Labels = None,
    dry_run: Annotated[bool, Doc("show the VMs and the command, and run nothing")] = False,
) -> Iterator[str]:
    """Run an Ansible playbook on the running members of a group, or on the VMs with a label.

    Ansible itself must be there. It is given an inventory as `cms inventory` prints it; its exit code is the command's.
    """
    if group:
        found = narrow("vm", groups.members(ctx, group, on, fresh=True), label)
    else:
        found = chosen(ctx, [], labels=label, what="name a --group")
    able = reachable(vm for vm in found if vm.state is VmState.RUNNING)
    left = [vm.name for vm in found if vm not in able]
    if not able:
        raise NotReady(f"none of {len(found)} VMs runs and has an address", hint="cms vm list, cms group start")
    if left:
        ctx.warn(f"{', '.join(left)} cannot be reached now and is left out")
    simulated = all(ctx.cloud_class(vm.cloud).simulated for vm in able)
    program = _PROGRAM if simulated or dry_run else _program()
    file = _place(group or "vms")
    words = [program, "-i", str(file), "--limit", ",".join(vm.name for vm in able), str(playbook), *more]
    if dry_run:
        yield from _told(playbook, able, words)
        return
    _write(ctx, file, able)
    if simulated:
        yield "these VMs are simulated: this is what would run"
        yield shlex.join(words)
        return
    become(ctx, words)


def _told(playbook: Path, vms: Sequence[Vm], words: Sequence[str]) -> Iterator[str]:
    """Yield what would be done, as the dry run of every other command does."""
    yield f"would run {playbook} on {len(vms)} {'VM' if len(vms) == 1 else 'VMs'}"
    size = max(len(vm.name) for vm in vms)
    for vm in vms:
        yield f"  {vm.name:<{size}}  {vm.login}@{vm.ssh_host}:{vm.ssh_port}"
    yield f"  {shlex.join(words)}"
    yield "nothing was changed (dry run)"


def _program() -> str:
    """Return where ansible-playbook is: on the path, or beside this Python. Raises: Unsupported."""
    found = shutil.which(_PROGRAM) or shutil.which(_PROGRAM, path=str(Path(sys.executable).parent))
    if found is None:
        raise Unsupported(f"{_PROGRAM} is missing", hint="pip install ansible-core, or apt-get install ansible-core")
    return found


def _place(name: str) -> Path:
    """Return the file in which an inventory stays while Ansible runs."""
    return paths.home() / "ansible" / f"{word(name)}.yaml"


def _write(ctx: Context, file: Path, vms: Sequence[Vm]) -> None:
    """Write the inventory."""
    known = groups.every(ctx, groups.all_vms(ctx, fresh=False))
    paths.private(file.parent)
    temporary = file.with_suffix(f".{os.getpid()}.tmp")
    temporary.touch(mode=0o600)
    temporary.write_text(as_yaml(inventory(ctx, vms, known)) + "\n")
    temporary.replace(file)
