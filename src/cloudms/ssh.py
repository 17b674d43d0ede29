"""One SSH connection, by the person's own OpenSSH: pinned host keys, a deadline, no questions.

Host keys are pinned per VM under an alias (`cms-TOKEN`), so that an address used again by another VM never matches an
old key. The alias and known_hosts format are those of ssh_config(5) and sshd(8).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence

from cloudms import paths
from cloudms.errors import NotReady, Unsupported
from cloudms.model import Vm
from cloudms.record import Record

_BEGIN = "-----BEGIN SSH HOST KEY KEYS-----"
_END = "-----END SSH HOST KEY KEYS-----"
UNREACHED = 255
"""OpenSSH's exit code when the connection, not the command, failed (ssh(1))."""


class Result(Record):
    """How a command ended: its exit code, or 255 when the connection failed, and what it printed."""

    exit: int
    stdout: str = ""
    stderr: str = ""


def answers(host: str, port: int, timeout: float | None = None) -> bool:
    """Whether an SSH server sends its banner within `timeout` seconds; a bare TCP accept is no answer.

    By default an address of this machine gets a quarter of a second: behind it stands QEMU, which accepts before the
    guest listens and then asks the guest again only at growing intervals, so that a fresh connection is faster.
    """
    import socket

    if timeout is None:
        timeout = 0.25 if host.startswith("127.") else 2.0
    try:
        with socket.create_connection((host, port), timeout=timeout) as connection:
            connection.settimeout(timeout)
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def alias(vm: Vm) -> str:
    """Return the name under which the host key of a VM is pinned."""
    return f"cms-{vm.token}" if vm.token else f"cms-{vm.cloud}-{vm.id}"


def command(vm: Vm, *, ask: bool = False, tty: bool = False, connect_timeout: int = 10) -> list[str]:
    """Return the `ssh` command line that reaches a VM, without the remote command.

    `ask` lets ssh ask for a passphrase, `tty` gives the remote command a terminal. Raises: NotReady.
    """
    if not vm.ssh_host:
        raise NotReady(f"{vm.name} has no address yet", hint=f"cms vm wait {vm.name}")
    words = ["ssh", *options(vm, connect_timeout), "-p", str(vm.ssh_port)]
    words += [] if ask else ["-o", "BatchMode=yes"]
    words += ["-t"] if tty else []
    return [*words, f"{vm.login or 'root'}@{vm.ssh_host}"]


def options(vm: Vm, connect_timeout: int = 10) -> list[str]:
    """Return the `-o` options that pin the host key and choose the identity of a VM."""
    chosen = {
        "UserKnownHostsFile": f'"{paths.known_hosts()}"',
        "HostKeyAlias": alias(vm),
        "HashKnownHosts": "no",
        "StrictHostKeyChecking": "yes" if pinned(vm) else "accept-new",
        "ConnectTimeout": str(connect_timeout),
        "LogLevel": "ERROR",
    }
    if vm.ssh_key:
        chosen |= {"IdentitiesOnly": "yes", "IdentityFile": f'"{vm.ssh_key}"'}
    return [word for key, value in chosen.items() for word in ("-o", f"{key}={value}")]


def run(vm: Vm, remote: Sequence[str], *, timeout: float = 60.0, connect_timeout: int = 10) -> Result:
    """Run a command (one shell line, or words that are joined by spaces as ssh does) and return how it ended.

    Raises: NotReady (no address), Unsupported (no OpenSSH client).
    """
    import subprocess

    words = [*command(vm, connect_timeout=connect_timeout), *remote]
    try:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except FileNotFoundError:
        raise Unsupported("the ssh command is missing", hint="apt-get install openssh-client") from None
    except subprocess.TimeoutExpired:
        return Result(exit=UNREACHED, stderr=f"no end within {timeout:g} s")
    return Result(exit=done.returncode, stdout=done.stdout, stderr=done.stderr)


def host_keys(console: str) -> list[str]:
    """Return the public host keys that the guest printed on its console, the last printed block only.

    The block is the one cloud-init prints; it reached us over the hypervisor, not over the network.
    """
    _, found, rest = console.rpartition(_BEGIN)
    block, ended, _ = rest.partition(_END)
    if not found or not ended:
        return []
    words = [line.split() for line in block.splitlines()]
    return [f"{w[0]} {w[1]}" for w in words if len(w) >= 2 and w[0].startswith(("ssh-", "ecdsa-"))]


def pin(vm: Vm, keys: Sequence[str]) -> None:
    """Pin the host keys of a VM, replacing earlier ones."""
    with _known_hosts() as lines:
        lines[:] = _others(lines, vm) + [f"{alias(vm)} {key}" for key in keys]


def accept(keys: Mapping[str, str]) -> dict[str, bool]:
    """Pin one host key each under aliases that have none yet; return of each whether it is what is pinned now."""
    with _known_hosts() as lines:
        there: dict[str, list[str]] = {}
        for line in lines:
            name, _, key = line.partition(" ")
            there.setdefault(name, []).append(key)
        lines += [f"{name} {key}" for name, key in keys.items() if name not in there]
    return {name: name not in there or key in there[name] for name, key in keys.items()}


def unpin(vm: Vm) -> None:
    """Forget the host keys of a VM."""
    if pinned(vm):
        with _known_hosts() as lines:
            lines[:] = _others(lines, vm)


def pinned(vm: Vm) -> bool:
    """Whether a host key of this VM is pinned."""
    try:
        return f"{alias(vm)} " in paths.known_hosts().read_text()
    except OSError:
        return False


def _others(lines: list[str], vm: Vm) -> list[str]:
    return [line for line in lines if not line.startswith(f"{alias(vm)} ")]


@contextlib.contextmanager
def _known_hosts() -> Iterator[list[str]]:
    import fcntl

    file = paths.private(paths.home()) / "known_hosts"
    with (paths.home() / "known_hosts.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lines = file.read_text().splitlines() if file.exists() else []
        yield lines
        temporary = file.with_suffix(".tmp")
        temporary.touch(mode=0o600)
        temporary.write_text("".join(f"{line}\n" for line in lines))
        temporary.replace(file)
