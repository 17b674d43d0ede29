"""What a person's machine lacks to run virtual machines, each with the command that mends it (`cms doctor`)."""

from __future__ import annotations

import grp
import importlib.util
import os
import pwd
import resource
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cloudms.clock import Clock, SystemClock
from cloudms.clouds.libvirt import accel, host
from cloudms.errors import CloudmsError, Denied, Invalid, NotReady

State = Literal["ok", "warn", "fail"]
Argv = tuple[str, ...]

GIB = 1024**3
DISK_WARN, DISK_FAIL = 10 * GIB, 2 * GIB
MEMORY_WARN, MEMORY_FAIL = GIB, GIB // 4
CORE_LIMIT_MATTERS = 11_000_000
COMMAND_LIMIT_S = 20.0
INSTALL_LIMIT_S = 1800.0
INIT_LIMIT_S, INIT_TRIES = 2.0, 20
PROC = Path("/proc")
MEMINFO = PROC / "meminfo"
PACKAGES = Path(__file__).with_name("packages.txt")


@dataclass(frozen=True)
class Check:
    """One thing looked at: what was found, what to do, and the commands that `fix` would run as root."""

    name: str
    state: State
    message: str
    hint: str = ""
    fix: tuple[Argv, ...] = ()

    @property
    def would_run(self) -> str:
        """Return the repair in a person's words: the commands, as typed."""
        return " && ".join(shlex.join(argv) for argv in self.fix)


@dataclass(frozen=True)
class Package:
    """A line of packages.txt: whom it is for, the sign that it is there, and why it is needed."""

    name: str
    wanted_by: str
    sign: str
    why: str


def diagnose(uri: str, *, clock: Clock | None = None) -> list[Check]:
    """Return every check of this machine for `uri`, in the order of their dependence; nothing is repaired.

    A hypervisor of another machine gets the connection check alone. It may start libvirt's daemons, as any use would.
    """
    clock, (uri, _login) = clock or SystemClock(), host.divided(uri)
    binding, link = check_binding(), check_libvirt(uri, clock)
    if not host.is_local(uri):
        return [binding, link]
    tools = [
        check_program(*tool) for tool in (("qemu", "qemu-system-x86_64"), ("qemu-img", "qemu-img"), ("ssh", "ssh"))
    ]
    rights = [*check_groups(uri), *check_core_limit(uri), *check_init(clock)]
    machine = [check_kvm_device(uri), check_acceleration(uri, clock), check_disk(uri), check_memory()]
    return [*tools, check_packages(uri), binding, link, *rights, *machine]


def fix(check: Check) -> str:
    """Run the repair of `check` as root, through sudo where needed, and return what was run.

    Raises Invalid when there is none, Denied when root cannot be had, NotReady when a command fails.
    """
    if not check.fix:
        raise Invalid(f"{check.name} has no repair that can be run", hint=check.hint)
    for argv in check.fix:
        done = _call(_as_root(argv), limit=INSTALL_LIMIT_S)
        if done.returncode:
            said = (done.stderr or done.stdout).strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
            raise NotReady(f"{shlex.join(argv)} failed: {said[0]}", hint=check.hint)
    return check.would_run


def _as_root(argv: Argv) -> list[str]:
    if os.geteuid() == 0:
        return list(argv)
    sudo = host.find_program("sudo")
    if sudo is None:
        raise Denied("this repair needs root, and there is no sudo", hint=f"as root: {shlex.join(argv)}")
    return [sudo, *([] if sys.stdin.isatty() else ["-n"]), *argv]  # sudo asks on the terminal itself, not on its input


def _call(argv: list[str], *, limit: float = COMMAND_LIMIT_S) -> subprocess.CompletedProcess[str]:
    """Run `argv` with no input and return its end; a program that cannot run ends with 127, a slow one with 124."""
    try:
        return subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=limit, check=False
        )
    except OSError as error:
        return subprocess.CompletedProcess(argv, 127, "", str(error))
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(argv, 124, "", f"no answer within {limit:g} s")


def check_program(name: str, program: str) -> Check:
    """Tell whether `program` is installed and starts, and its version."""
    path = host.find_program(program)
    if path is None:
        return Check(name, "fail", f"{program} is not installed", hint="see the check named packages")
    done = _call([path, "-V" if program == "ssh" else "--version"])
    lines = (done.stdout or done.stderr).strip().splitlines()
    if done.returncode:
        return Check(name, "fail", f"{path} does not start: {lines[-1] if lines else done.returncode}")
    return Check(name, "ok", lines[0] if lines else path)


def packages() -> Iterator[Package]:
    """Yield the packages that the embedded hypervisor needs."""
    for line in PACKAGES.read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            yield Package(*(field.strip() for field in line.split("|", 3)))


def missing_packages(uri: str) -> list[Package]:
    """Return the packages whose sign is absent, those for building only while the binding is absent, too."""
    wanted = {"all", "user" if host.is_session(uri) else "root"}
    if importlib.util.find_spec("libvirt") is None:
        wanted.add("build")
    return [package for package in packages() if package.wanted_by in wanted and not _there(package.sign)]


def _there(sign: str) -> bool:
    if sign == "@venv":
        return importlib.util.find_spec("ensurepip") is not None
    if sign == "@headers":
        return (Path(sysconfig.get_path("include")) / "Python.h").exists()
    if sign.startswith("/"):
        return any(Path("/").glob(sign[1:]))
    return host.find_program(sign) is not None


def check_packages(uri: str) -> Check:
    """Tell which system packages are missing, with the command that installs exactly those."""
    missing = missing_packages(uri)
    if not missing:
        return Check("packages", "ok", "all system packages are there")
    install = ("apt-get", "install", "-y", "--no-install-recommends", *(package.name for package in missing))
    message = "missing: " + ", ".join(f"{package.name} ({package.why})" for package in missing)
    if host.find_program("apt-get") is None:
        return Check("packages", "fail", message, hint="install what your distribution calls these")
    return Check("packages", "fail", message, hint=shlex.join(install), fix=(("apt-get", "update", "-q"), install))


def check_binding() -> Check:
    """Tell whether Python can talk to libvirt."""
    if importlib.util.find_spec("libvirt") is None:
        return Check(
            "binding", "fail", "the Python binding of libvirt is missing", hint='pip install "cloudms[libvirt]"'
        )
    return Check("binding", "ok", "Python can talk to libvirt")


def check_libvirt(uri: str, clock: Clock) -> Check:
    """Connect to `uri`, starting the daemons as any use would, and tell libvirt's version."""
    if importlib.util.find_spec("libvirt") is None:
        return Check(
            "libvirt", "fail", f"{uri} cannot be tried without the binding", hint='pip install "cloudms[libvirt]"'
        )
    import libvirt

    try:
        host.ensure_daemon(uri, clock=clock, release=False)
        libvirt.registerErrorHandler(lambda *_: None, None)
        connection = libvirt.open(uri)
        version = connection.getLibVersion()
        connection.close()
    except CloudmsError as error:
        return Check("libvirt", "fail", error.message, hint=error.hint)
    except libvirt.libvirtError as error:
        hint = "is libvirtd running?" if host.is_local(uri) else "is the other machine reachable by ssh?"
        return Check("libvirt", "fail", f"{uri} does not answer: {error}", hint=hint)
    words = f"{version // 1_000_000}.{version // 1000 % 1000}.{version % 1000}"
    return Check("libvirt", "ok", f"libvirt {words} answers at {uri}")


def check_groups(uri: str) -> Iterator[Check]:
    """Tell whether an ordinary user who chose the system's libvirt may speak with it."""
    if os.geteuid() == 0 or not uri.endswith("/system"):
        return
    if _in_group("libvirt"):
        yield Check("groups", "ok", "you are in the group libvirt")
    else:
        yield _join_group("groups", "libvirt", f"{uri} is for members of the group libvirt")


def check_core_limit(uri: str) -> Iterator[Check]:
    """Warn when a session's QEMU cannot start because core dumps are limited, as under `sudo -u`.

    Seen with libvirt 11.3, which raises the limit for each machine and needs the right to; 9.0 does not.
    """
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    if not host.is_session(uri) or hard == resource.RLIM_INFINITY or _binding_version() < CORE_LIMIT_MATTERS:
        return
    message = "core dumps are limited here, and libvirt then starts no machine"
    yield Check("core-limit", "warn", message, hint="log in with su - or ssh; sudo -u sets this limit")


def check_init(clock: Clock) -> Iterator[Check]:
    """Warn when ended processes without a parent stay zombies, as in many containers.

    libvirt takes the zombie of a machine for a process that cannot be killed: stopping one was seen to take 40 s and
    then to fail. Nothing is said where systemd is the first process.
    """
    if host.systemd_runs():
        return
    orphan = _call(["sh", "-c", "sleep 0 >/dev/null & echo $!"]).stdout.strip()
    for _ in range(INIT_TRIES):
        if not orphan or not (PROC / orphan).exists():
            return
        clock.sleep(INIT_LIMIT_S / INIT_TRIES)
    message = "the first process of this machine collects no ended processes, so that stopping a VM is slow and fails"
    yield Check("init", "warn", message, hint="start the container with an init, as docker run --init does")


def _binding_version() -> int:
    """Return the version of libvirt on this side, as 11003000 for 11.3.0; 0 without the binding."""
    if importlib.util.find_spec("libvirt") is None:
        return 0
    import libvirt

    return int(libvirt.getVersion())


def _in_group(name: str) -> bool:
    try:
        return grp.getgrnam(name).gr_gid in os.getgroups()
    except KeyError:
        return False


def _join_group(check: str, group: str, message: str, state: State = "warn") -> Check:
    join = ("usermod", "-aG", group, pwd.getpwuid(os.geteuid()).pw_name)
    return Check(check, state, message, hint=f"sudo {shlex.join(join)}, then log in again", fix=(join,))


def check_kvm_device(uri: str) -> Check:
    """Tell whether the account QEMU runs as can open /dev/kvm, and the trap when only libvirt's daemon can."""
    name, node = "kvm-device", str(host.KVM_NODE)
    if not host.KVM_NODE.exists():
        hint = "enable virtualization in the firmware, or nested virtualization where this machine is one itself"
        return Check(name, "warn", f"{node} does not exist: machines run by software emulation, much slower", hint=hint)
    user = host.qemu_user(uri).pw_name
    if host.kvm_openable(uri):
        return Check(name, "ok", f"{user} can open {node}")
    if host.kvm_trapped(uri):
        repair = (("chgrp", "kvm", node), ("chmod", "660", node))
        message = f"libvirt can open {node} and {user} cannot: each start takes over a minute"
        return Check(name, "fail", message, hint=" && ".join(map(shlex.join, repair)), fix=repair)
    return _join_group(name, "kvm", f"you cannot open {node}: machines run by software emulation, much slower")


def check_acceleration(uri: str, clock: Clock) -> Check:
    """Run the probe afresh: KVM first, then software emulation."""
    try:
        choice = accel.choose("auto", clock=clock, openable=host.kvm_openable(uri), fresh=True)
        if choice.accel == "kvm":
            return Check("acceleration", "ok", choice.reason)
        emulated = accel.probe("tcg", clock=clock)
    except CloudmsError as error:
        return Check("acceleration", "fail", error.message, hint=error.hint)
    if not emulated.works:
        return Check("acceleration", "fail", emulated.reason, hint="reinstall qemu-system-x86")
    return Check("acceleration", "warn", f"software emulation is used: {choice.reason}")


def check_disk(uri: str) -> Check:
    """Tell the space left for disks and images."""
    folder = host.pool_dir(uri)
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(there).free
    return _amount("disk", free, DISK_WARN, DISK_FAIL, f"free in {folder}")


def check_memory() -> Check:
    """Tell the memory that machines could use now."""
    fields = dict(line.split(":", 1) for line in MEMINFO.read_text().splitlines() if ":" in line)
    available = int(fields.get("MemAvailable", "0").split()[0]) * 1024
    return _amount("memory", available, MEMORY_WARN, MEMORY_FAIL, "of memory available")


def _amount(name: str, amount: int, warn: int, fail: int, what: str) -> Check:
    state: State = "fail" if amount < fail else "warn" if amount < warn else "ok"
    hint = "" if state == "ok" else f"free some: {warn / GIB:g} GiB is comfortable, {fail / GIB:g} GiB the least"
    return Check(name, state, f"{amount / GIB:.1f} GiB {what}", hint=hint)
