"""Where the embedded hypervisor lives on this machine, and that its daemons run.

Which libvirt. libvirt knows two: the system's, one privileged daemon that runs QEMU as an account of its own, and a
session, a daemon per user that libvirt starts by itself and that runs QEMU as this user. An ordinary user gets the
session: no rights, groups or running service are needed. Root has none: libvirt hands uid 0's `qemu:///session` to the
privileged daemon, so root gets `qemu:///system` openly.

Daemons. With systemd they are units. Without it (containers, small VMs) nobody starts the privileged ones, so root's
are started here, in 0.05 s: `libvirtd` with a time limit, since it stays while a machine runs or a client is
connected, and `virtlogd` without one, since a privileged virtlogd with a limit was seen to leave while a machine
was running, after which every start fails for want of its socket (libvirt 9.0). A session's daemons need nothing.

/dev/kvm. Where no udev gave the device to the group kvm it stays root's alone. Then the privileged libvirtd, which
can open it, finds again and again that QEMU's account cannot, and probes QEMU anew each time: starting a machine was
measured at 72 to 92 s, and at 0.7 s after `chgrp kvm; chmod 660`, without restarting anything.

Disks. QEMU's own account cannot look into /root (0700), so the system's disks live under /var/lib/libvirt/images,
which AppArmor and SELinux policies know, too; a session's live in the folder of all local state.
"""

from __future__ import annotations

import errno
import fcntl
import grp
import os
import pwd
import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cloudms import paths
from cloudms.clock import Clock, SystemClock
from cloudms.errors import Denied, NotReady, Timeout

SYSTEM_URI = "qemu:///system"
SESSION_URI = "qemu:///session"
SYSTEM_POOL = Path("/var/lib/libvirt/images/cloudms")
RUN = Path("/run")
QEMU_CONF = Path("/etc/libvirt/qemu.conf")
KVM_NODE = Path("/dev/kvm")
QEMU_ACCOUNTS = ("libvirt-qemu", "qemu")
IDLE_S = 300
START_LIMIT_S = 20.0
INSTALL_LIBVIRT = "apt-get install libvirt-daemon-system libvirt-clients qemu-system-x86 qemu-utils"


@dataclass(frozen=True)
class Daemons:
    """The programs that answer for QEMU: libvirt's one daemon for everything, or the one for QEMU alone."""

    name: str
    socket: str


MONOLITHIC = Daemons("libvirtd", "libvirt/libvirt-sock")
MODULAR = Daemons("virtqemud", "libvirt/virtqemud-sock")
LOG_SOCKET = "libvirt/virtlogd-sock"


def default_uri(environ: Mapping[str, str] | None = None, uid: int | None = None) -> str:
    """Return the libvirt of this user: $LIBVIRT_DEFAULT_URI, else the system's for root and a session for others."""
    chosen = (os.environ if environ is None else environ).get("LIBVIRT_DEFAULT_URI")
    if chosen:
        return chosen
    return SYSTEM_URI if (os.geteuid() if uid is None else uid) == 0 else SESSION_URI


def divided(uri: str) -> tuple[str, dict[str, str]]:
    """Return `uri` without the password in it, so that it may be shown, and the user name and password it had.

    libvirt itself takes no password from an address; it asks for one.
    """
    found = re.fullmatch(r"([^/]*://)([^/@:]*):([^/@]*)@(.*)", uri)
    if found is None:
        return uri, {}
    from urllib.parse import unquote

    start, user, password, rest = found.groups()
    return f"{start}{user}@{rest}", {"username": unquote(user), "password": unquote(password)}


def is_local(uri: str) -> bool:
    """Tell whether `uri` is a QEMU of this machine: no host in it and no transport but the local socket."""
    return re.match(r"qemu(\+unix)?:///", uri) is not None


def is_session(uri: str, uid: int | None = None) -> bool:
    """Tell whether QEMU runs as this user under `uri`; for root it never does."""
    user = os.geteuid() if uid is None else uid
    return user != 0 and re.match(r"qemu(\+\w+)?://[^/]*/session", uri) is not None


def pool_dir(uri: str) -> Path:
    """Return the folder for disks, kernels and images that QEMU can read under `uri`; it may not exist yet."""
    return paths.home() / "libvirt" if is_session(uri) else SYSTEM_POOL


def prepare_pool(uri: str) -> Path:
    """Create the folder of `pool_dir` with the least rights QEMU's account needs, and return it.

    Raises Denied when this user may not create it.
    """
    folder = pool_dir(uri)
    if is_session(uri):
        return paths.private(folder)
    try:
        folder.mkdir(mode=0o711, parents=True, exist_ok=True)
    except PermissionError as error:
        raise Denied(f"{folder} cannot be created", hint=f"use {SESSION_URI}, or become root") from error
    return folder


def qemu_user(uri: str) -> pwd.struct_passwd:
    """Return the account QEMU runs as: this user in a session, else the one in qemu.conf or the distribution's."""
    if is_session(uri):
        return pwd.getpwuid(os.geteuid())
    for name in (_configured_user(), *QEMU_ACCOUNTS):
        try:
            if name:
                return pwd.getpwuid(int(name[1:])) if name.startswith("+") else pwd.getpwnam(name)
        except (KeyError, ValueError):
            continue
    return pwd.getpwuid(0)


def _configured_user() -> str:
    """Return the line `user = "…"` of qemu.conf, which only root can read."""
    try:
        found = re.search(r'^\s*user\s*=\s*"([^"]+)"', QEMU_CONF.read_text(), re.MULTILINE)
    except OSError:
        return ""
    return found.group(1) if found else ""


def kvm_openable(uri: str) -> bool:
    """Tell whether the account QEMU runs as under `uri` can open /dev/kvm."""
    if is_session(uri):
        return os.access(KVM_NODE, os.R_OK | os.W_OK)
    try:
        node = KVM_NODE.stat()
    except OSError:
        return False
    user = qemu_user(uri)
    if user.pw_uid == 0:
        return True
    if user.pw_uid == node.st_uid:
        return node.st_mode & 0o600 == 0o600
    if node.st_gid in os.getgrouplist(user.pw_name, user.pw_gid):
        return node.st_mode & 0o060 == 0o060
    return node.st_mode & 0o006 == 0o006


def kvm_trapped(uri: str) -> bool:
    """Tell whether libvirt's daemon can open /dev/kvm and QEMU's account cannot, which makes each start very slow."""
    return KVM_NODE.exists() and not is_session(uri) and not kvm_openable(uri)


def release_kvm() -> bool:
    """Give /dev/kvm to the group kvm with mode 660, as udev does; tell whether it was done. Needs root."""
    try:
        group = grp.getgrnam("kvm").gr_gid
        os.chown(KVM_NODE, -1, group)
        KVM_NODE.chmod(0o660)
    except (KeyError, OSError):
        return False
    return True


def systemd_runs() -> bool:
    """Tell whether systemd is this machine's first process, by the test of sd_booted(3)."""
    return (RUN / "systemd" / "system").is_dir()


def find_program(name: str) -> str | None:
    """Return the path of a system program, looked for in the folders of daemons too; None when it is not installed."""
    for folder in [*os.get_exec_path(), "/usr/sbin", "/sbin", "/usr/local/sbin"]:
        candidate = Path(folder) / name
        if os.access(candidate, os.X_OK) and candidate.is_file():
            return str(candidate)
    return None


def answers(name: str) -> bool:
    """Tell whether something accepts connections on the socket `name` below /run."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(2.0)
        code = client.connect_ex(str(RUN / name))
    return code in (0, errno.EACCES)


def installed_daemons() -> Daemons:
    """Return the daemons this machine has; raises NotReady when libvirt is not installed."""
    for daemons in (MONOLITHIC, MODULAR):
        if find_program(daemons.name):
            return daemons
    raise NotReady("libvirt is not installed", hint=INSTALL_LIBVIRT)


def ensure_daemon(
    uri: str, *, clock: Clock | None = None, say: Callable[[str], None] | None = None, release: bool = True
) -> None:
    """See to it that libvirt answers at `uri`; call it before connecting and before each start of a machine.

    Nothing is done for other machines and for other users than root: libvirt starts a session's daemons by itself. It
    takes two connections to local sockets when all is well. Parameters: `say`, told in a sentence what was started or
    changed; `release`, whether to repair the rights of /dev/kvm first where no udev does. Raises NotReady when libvirt
    is not installed or does not start, Timeout when it does not answer in 20 s.
    """
    if not is_local(uri):
        return
    say = say or _silent
    daemons = installed_daemons()
    if os.geteuid() != 0:
        return
    if release and not systemd_runs() and kvm_trapped(uri) and release_kvm():
        say(f"gave {KVM_NODE} to the group kvm, without which every start would take over a minute")
    if _all_answer(daemons):
        return
    with (RUN / "cloudms-daemons.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _all_answer(daemons):
            _start(daemons, clock or SystemClock(), say)


def _silent(sentence: str) -> None:
    """Say nothing."""


def _all_answer(daemons: Daemons) -> bool:
    running = answers(MODULAR.socket) or answers(MONOLITHIC.socket)
    return running and (find_program("virtlogd") is None or answers(LOG_SOCKET))


def _start(daemons: Daemons, clock: Clock, say: Callable[[str], None]) -> None:
    """Start what does not answer, as a unit where systemd runs and by hand elsewhere, and wait until it does."""
    for argv in _start_commands(daemons):
        say(f"started {Path(argv[0]).name}" if not systemd_runs() else " ".join(argv))
        _run(argv)
    deadline = clock.monotonic() + START_LIMIT_S
    while not _all_answer(daemons):
        if clock.monotonic() > deadline:
            raise Timeout(f"{daemons.name} does not answer", hint=f"run {daemons.name} --verbose to see why")
        clock.sleep(0.02)


def _start_commands(daemons: Daemons) -> list[list[str]]:
    if systemd_runs():
        return [["systemctl", "start", "virtlogd.socket", f"{daemons.name}.service"]]
    commands: list[list[str]] = []
    virtlogd = find_program("virtlogd")
    if virtlogd and not answers(LOG_SOCKET):
        commands.append([virtlogd, "--daemon"])
    main = find_program(daemons.name)
    if main and not (answers(MODULAR.socket) or answers(MONOLITHIC.socket)):
        commands.append([main, "--daemon", "--timeout", str(IDLE_S)])
    return commands


def _run(argv: list[str]) -> None:
    import subprocess

    environ = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"}
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environ,
            cwd="/",
            timeout=START_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise Timeout(f"{argv[0]} did not start within {START_LIMIT_S:g} s") from error
    if done.returncode:
        last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise NotReady(f"{argv[0]} did not start: {last[0]}", hint="cms doctor")
