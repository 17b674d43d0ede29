"""A VM becomes a node: key and configuration go to it over SSH, then munged and slurmd start there.

Nothing of this is in an image or in the data of its first boot, where a cloud would keep it; on the node the key is
readable by root alone. A VM of another image gets the packages first, where it has apt.
"""

from __future__ import annotations

import io
import os
import pwd
import shlex
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path

from cloudms import ssh
from cloudms.clock import Clock
from cloudms.cluster import conf
from cloudms.cluster.conf import Place
from cloudms.cluster.control import Control
from cloudms.cluster.files import of_root
from cloudms.errors import NotReady, Timeout
from cloudms.model import Cluster, Vm

_LIMIT = 600.0
"""Seconds for one node, the packages of an image without Slurm included."""
_ATTEMPTS = 5
_BETWEEN = 1.0
_SCRIPT = Path(__file__).parent / "node.sh"


def join(cluster: Cluster, place: Place, vm: Vm, clock: Clock) -> None:
    """Make a VM the node of its name and tell the controller where it is. Raises: NotReady, Timeout."""
    Control(cluster).update_node(vm.name, NodeAddr=address_of(vm))
    start(cluster, place, vm, clock)


def address_of(vm: Vm) -> str:
    """Return where the controller reaches a VM: the same address as SSH. Raises: NotReady."""
    if not vm.ssh_host:
        raise NotReady(f"{vm.name} has no address yet", hint=f"cms vm wait {vm.name}")
    return vm.ssh_host


def controller_for(cluster: Cluster, vm: Vm) -> str:
    """Return where a VM reaches the controller: behind QEMU's user network this machine is the gateway."""
    return conf.GATEWAY if vm.ssh_host.startswith("127.") else cluster.address


def start(cluster: Cluster, place: Place, vm: Vm, clock: Clock) -> None:
    """Bring key and configuration to a VM and start its daemons, again if they run. Raises: NotReady, Timeout."""
    person = pwd.getpwuid(place.uid)
    facts = {"node": vm.name, "person": person.pw_name, "uid": str(person.pw_uid), "gid": str(person.pw_gid)}
    content = {
        "munge.key": place.key.read_bytes(),
        "slurm.conf": conf.node(cluster, place, controller_for(cluster, vm)).encode(),
    }
    assigned = "".join(f"{key}={shlex.quote(value)}\n" for key, value in facts.items())
    for _attempt in range(_ATTEMPTS):
        done = _root(vm, assigned + _SCRIPT.read_text(), packed(content))
        if done.returncode != ssh.UNREACHED:
            break
        clock.sleep(_BETWEEN)  # a guest that has only just come up may refuse a connection or two
    if done.returncode:
        said = [line.strip() for line in done.stderr.decode(errors="replace").splitlines() if line.strip()]
        raise NotReady(
            f"{vm.name} did not become a node: {said[-1] if said else 'no reason given'}", hint=f"cms ssh {vm.name}"
        )


def _root(vm: Vm, script: str, given: bytes) -> subprocess.CompletedProcess[bytes]:
    """Run a script as root on a VM with something on its standard input. Raises: Timeout, NotReady (no address)."""
    try:
        return subprocess.run(
            [*ssh.command(vm), of_root(script)], input=given, capture_output=True, timeout=_LIMIT, check=False,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise Timeout(f"{vm.name} did not become a node within {_LIMIT:g} s", hint=f"cms ssh {vm.name}") from None


def packed(content: Mapping[str, bytes]) -> bytes:
    """Return files as a tar that only their owner may read."""
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as archive:
        for name, data in content.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), 0o400
            archive.addfile(member, io.BytesIO(data))
    return whole.getvalue()
