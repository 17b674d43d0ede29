"""Whether an accelerator really runs guests here, found out by running one.

/dev/kvm that can be opened is no proof: nested and paravirtual hosts accept the ioctl and then fail at a guest's first
interrupt. So a 64 KiB payload (`accel_probe.S`, assembled into `CODE`) boots as firmware under the processor model the
cloud would use and walks through real mode, long mode, an interrupt, a remapped page, ring 3 and a system call, which
takes QEMU less than a tenth of a second. A yes is kept until the machine reboots or QEMU or the device changes; a no is
asked again after an hour, since what stood in the way may have gone (another monitor held the processor, a busy host).
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import get_ident
from typing import Literal

from cloudms import paths
from cloudms.clock import Clock, SystemClock
from cloudms.errors import Invalid, NotReady

Accel = Literal["kvm", "tcg"]

CODE = base64.b85decode(
    "`uwnR=IOWq5RSkx|7J13xd0eu^Q(-=j@Tw<#|8iZ2M_@OCT7P501yWt0RX=MAZECS0002F00Jgvi3Mf_001BWgU1Ns@n#PJ761YdAmC<$$RH0Q"
    ";AXf00096GBG_iRfB*o%4>D#A0RaF24=@iPz-A2r004jwBEV+qh5!!$2mrVc0001v*p9%C(7XVE0RXUU=IOYF0S^GV0{{R3=<NUi0Jw_*4*<Ca"
    "0002!-T(jqxd;FN0O-^J006lS0002!$^ZZWxefpT0O-H~000jG9Wwy{0L;e(B>(_G03NHMT#E!H004jh#{?xHAOQe}06+i_0X!uD0Du62JS6}C"
    "fB+t=p<H!)uyE$-NR2hE0002L06+l%xd#9M0P{$t4*?a|0002T1SJGe0RRAi0RXrt0000F0NA;K006)-z`6(k7yu72xq<)yz_@z>4*)UJ4=`#Q"
    "XaJxA0B8a*003$uXmbG%07%cUb>`_01?v#7bLQ!=D(3X-4zOwF=}6D8M&{|T59ajr>-~w(!RG{KiH86%0RU#lhXODG00;nP$A<(k0RRAwiNe9^"
    "5N3&&1~35t!w(;T000000000000000|Nj600GqD>|Nj600F%!E|Nj600Q1iP|Nj600Q;{1X8-_D0f_(r0000000000Hvq^14*)j+06+l%00000"
    "{{R3m0RR91000"
)
ROM_SIZE = 0x10000
RESET_VECTOR = 0xFFF0
JUMP_TO_CODE = b"\xea\x00\x00\x00\xf0"  # jmp F000:0000, where the chipset shows the start of the image
EXIT_WORKS = 85
STAGES = "rlipus"
LIMIT_S = 2.0
DOUBT_AFTER_S = 3600.0
KVM_NODE = Path("/dev/kvm")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
CPU_MODEL = {"kvm": "host", "tcg": "max"}
GIVEN_UP = b"KVM internal error"  # QEMU then pauses the guest for ever


@dataclass(frozen=True)
class ProbeResult:
    """What one accelerator did with the payload: `stages` is how far it came, of "rlipus"; `seconds` what it took."""

    accel: str
    works: bool
    stages: str
    seconds: float
    reason: str


@dataclass(frozen=True)
class Choice:
    """The accelerator to use, why, and whether that was known from an earlier probe."""

    accel: Accel
    reason: str
    remembered: bool = False


@dataclass(frozen=True)
class Outcome:
    """How a process ended: `code` is None when it had to be stopped."""

    code: int | None
    out: bytes
    err: bytes


Runner = Callable[[list[str], float, Clock], Outcome]


def rom() -> bytes:
    """Return the payload as a firmware image of 64 KiB."""
    return (CODE.ljust(RESET_VECTOR, b"\0") + JUMP_TO_CODE).ljust(ROM_SIZE, b"\0")


def find_qemu() -> str:
    """Return the path of qemu-system-x86_64; raises NotReady when it is not installed."""
    for folder in os.get_exec_path():
        candidate = Path(folder) / "qemu-system-x86_64"
        if os.access(candidate, os.X_OK) and candidate.is_file():
            return str(candidate)
    raise NotReady("qemu-system-x86_64 is not installed", hint="apt-get install qemu-system-x86 qemu-utils")


def command(accel: str, *, qemu: str, firmware: Path) -> list[str]:
    """Return the QEMU command that boots `firmware` under `accel` and says its stages on standard output."""
    guest = [qemu, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-m", "16"]
    guest += ["-machine", f"pc,accel={accel}", "-cpu", CPU_MODEL[accel], "-bios", str(firmware)]
    speak = ["-chardev", "stdio,id=say,signal=off", "-device", "isa-debugcon,iobase=0xe9,chardev=say"]
    return [*guest, *speak, "-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"]


def run(argv: list[str], limit: float, clock: Clock) -> Outcome:
    """Run `argv` for at most `limit` seconds, and no longer than until it says that KVM has failed."""
    import selectors
    import subprocess

    said: dict[str, bytes] = {"out": b"", "err": b""}
    deadline = clock.monotonic() + limit
    with (
        subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        ) as process,
        selectors.DefaultSelector() as pipes,
    ):
        for name, pipe in (("out", process.stdout), ("err", process.stderr)):
            if pipe is not None:
                pipes.register(pipe, selectors.EVENT_READ, name)
        while pipes.get_map() and (left := deadline - clock.monotonic()) > 0 and GIVEN_UP not in said["err"]:
            for key, _ in pipes.select(left):
                chunk = os.read(key.fd, 65536)
                said[key.data] += chunk
                if not chunk:
                    pipes.unregister(key.fileobj)
        stopped = bool(pipes.get_map())
        if stopped:
            process.kill()
        code = process.wait()
    return Outcome(None if stopped else code, said["out"], said["err"])


def probe(
    accel: str,
    *,
    qemu: str | None = None,
    clock: Clock | None = None,
    limit: float = LIMIT_S,
    runner: Runner = run,
) -> ProbeResult:
    """Boot the payload under `accel` ("kvm" or "tcg") and tell whether it came through.

    Parameters: `qemu`, the emulator's path; `limit`, seconds to wait; `runner`, what runs the command. Raises NotReady
    when QEMU is not installed.
    """
    clock = clock or SystemClock()
    argv = command(accel, qemu=qemu or find_qemu(), firmware=_firmware())
    begin = clock.monotonic()
    try:
        outcome = runner(argv, limit, clock)
    except OSError as error:
        raise NotReady(f"{argv[0]} cannot be run: {error.strerror}", hint="apt-get install qemu-system-x86") from error
    seconds = clock.monotonic() - begin
    stages = "".join(letter for letter in outcome.out.decode("ascii", "replace") if letter in STAGES)
    works = outcome.code == EXIT_WORKS and stages == STAGES
    return ProbeResult(accel, works, stages, seconds, _reason(accel, outcome, works=works, limit=limit))


def _reason(accel: str, outcome: Outcome, *, works: bool, limit: float) -> str:
    lines = [line.strip() for line in outcome.err.decode("utf-8", "replace").splitlines() if line.strip()]
    telling = [line for line in lines if "error" in line.lower()] or lines
    if works:
        return f"{accel} ran a guest through every stage"
    if telling:
        why = telling[0].split(": ", 1)[-1] if telling[0].startswith("qemu") else telling[0]
        return f"{accel} cannot run guests here: {why.removeprefix('error: ')}"
    end = f"gave no answer within {limit:g} s" if outcome.code is None else f"ended with {outcome.code}"
    return f"{accel} cannot run guests here: QEMU {end}"


def _firmware() -> Path:
    """Write the image where QEMU can read it, in one rename, and return its path. Raises NotReady when it cannot be."""
    path = paths.cache() / "accel-probe.rom"
    try:
        paths.private(path.parent)
        if not path.exists() or path.read_bytes() != rom():
            _write(path, rom())
    except OSError as error:
        raise NotReady(
            f"what finds out about KVM cannot be kept in {path.parent}: {error.strerror}",
            hint="look at its disk and its mode, or set CLOUDMESH_CONFIG_DIR to another folder",
        ) from error
    return path


def choose(
    setting: str = "auto",
    *,
    qemu: str | None = None,
    clock: Clock | None = None,
    openable: bool | None = None,
    fresh: bool = False,
    runner: Runner = run,
) -> Choice:
    """Choose the accelerator for guests on this machine; for a hypervisor elsewhere trust what libvirt says of it.

    Parameters: `setting`, "kvm" or "tcg" to decide by hand, "auto" to find out; `openable`, whether the user QEMU runs
    as can open /dev/kvm (None: as this process); `fresh`, probe even if the answer is known; `runner` as in `probe`.
    Raises Invalid for another setting and NotReady when QEMU is not installed.
    """
    if setting == "kvm" or setting == "tcg":
        return Choice("kvm" if setting == "kvm" else "tcg", "set by hand")
    if setting != "auto":
        raise Invalid(f"acceleration cannot be {setting!r}", hint="choose auto, kvm or tcg")
    qemu, clock = qemu or find_qemu(), clock or SystemClock()
    refusal = _refusal(openable)
    if refusal:
        return Choice("tcg", refusal)
    key = _key(qemu)
    known = None if fresh else _recall(key, clock.now())
    if known:
        return known
    result = probe("kvm", qemu=qemu, clock=clock, runner=runner)
    choice = Choice("kvm" if result.works else "tcg", result.reason)
    _remember(key, choice, clock.now())
    return choice


def _refusal(openable: bool | None) -> str:
    """Return why KVM needs no probe at all, or nothing."""
    if not KVM_NODE.exists():
        return f"{KVM_NODE} does not exist"
    if os.uname().machine not in ("x86_64", "amd64"):
        return f"a {os.uname().machine} processor cannot run x86 guests by itself"
    if openable is None:
        openable = os.access(KVM_NODE, os.R_OK | os.W_OK)
    return "" if openable else f"{KVM_NODE} cannot be opened by the user QEMU runs as"


def _key(qemu: str) -> str:
    """Return what an answer depends on: this boot, this QEMU, this user and who may open the device."""
    boot = BOOT_ID.read_text().strip() if BOOT_ID.exists() else ""
    node = KVM_NODE.stat()
    program = Path(qemu).resolve()
    changed = program.stat().st_mtime_ns if program.exists() else 0
    return f"{boot} {program} {changed} {os.getuid()} {node.st_mode:o} {node.st_uid}:{node.st_gid}"


def _recall(key: str, now: float) -> Choice | None:
    try:
        stored = json.loads((paths.cache() / "accel.json").read_text())
        choice = Choice("kvm" if stored["accel"] == "kvm" else "tcg", str(stored["reason"]), remembered=True)
        certain = choice.accel == "kvm" or 0 <= now - stored["at"] < DOUBT_AFTER_S
        return choice if certain and stored["key"] == key else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _remember(key: str, choice: Choice, now: float) -> None:
    """Keep an answer; where that cannot be written, the next command finds it out again."""
    record = {"key": key, "at": now, "accel": choice.accel, "reason": choice.reason}
    with suppress(OSError):
        _write(paths.private(paths.cache()) / "accel.json", json.dumps(record).encode())


def _write(path: Path, content: bytes) -> None:
    """Write a file in one rename, under a name of this thread's own until then: several may boot at once."""
    fresh = path.with_suffix(f".{os.getpid()}-{get_ident()}")
    try:
        fresh.write_bytes(content)
        fresh.replace(path)
    except OSError:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise
