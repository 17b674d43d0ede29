from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from cloudms import paths
from cloudms.clock import Clock, ManualClock, SystemClock
from cloudms.clouds.libvirt import accel
from cloudms.errors import Invalid, NotReady

RAN = accel.Outcome(85, b"rlipus", b"")
ABORTED = accel.Outcome(
    -6, b"", b"qemu-system-x86_64: error: failed to set MSR 0x10a to 0x69\nqemu: assertion failed\n"
)
PAUSED = accel.Outcome(None, b"rl", b"qemu-system-x86_64: warning: no pni\nKVM internal error. Suberror: 1\n")
SILENT = accel.Outcome(None, b"", b"")


class Runs:
    """A runner that gives prepared outcomes and counts how often it was asked."""

    def __init__(self, *outcomes: accel.Outcome) -> None:
        self.outcomes = list(outcomes)
        self.argvs: list[list[str]] = []

    def __call__(self, argv: list[str], limit: float, clock: Clock) -> accel.Outcome:
        self.argvs.append(argv)
        return self.outcomes.pop(0)


@pytest.fixture
def qemu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a stand-in for QEMU beside a stand-in for /dev/kvm on a machine that could have it."""
    program = tmp_path / "bin" / "qemu-system-x86_64"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nexit 85\n")
    program.chmod(0o755)
    node = tmp_path / "kvm"
    node.touch()
    boot = tmp_path / "boot_id"
    boot.write_text("first\n")
    monkeypatch.setattr(accel, "KVM_NODE", node)
    monkeypatch.setattr(accel, "BOOT_ID", boot)
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Linux", "here", "6", "1", "x86_64")))
    return program


def test_the_shipped_code_is_the_assembled_source(tmp_path: Path) -> None:
    if not (shutil.which("as") and shutil.which("ld") and os.uname().machine == "x86_64"):
        pytest.skip("needs an x86 assembler")
    source = Path(accel.__file__).with_name("accel_probe.S")
    subprocess.run(["as", "--64", "-o", str(tmp_path / "probe.o"), str(source)], check=True)
    build = ["ld", "--oformat", "binary", "-Ttext", "0", "-o", "probe.bin", "probe.o"]
    subprocess.run(build, cwd=tmp_path, check=True)
    assert (tmp_path / "probe.bin").read_bytes() == accel.CODE


def test_the_firmware_is_64_kib_with_a_jump_where_the_processor_starts() -> None:
    image = accel.rom()
    assert len(image) == 65536
    assert image.startswith(accel.CODE)
    assert image[0xFFF0:0xFFF5] == b"\xea\x00\x00\x00\xf0"


@pytest.mark.parametrize(("name", "model"), [("kvm", "host"), ("tcg", "max")])
def test_the_probe_uses_the_processor_a_guest_would_get(qemu: Path, clock: ManualClock, name: str, model: str) -> None:
    runs = Runs(RAN)
    result = accel.probe(name, qemu=str(qemu), clock=clock, runner=runs)
    argv = runs.argvs[0]
    assert argv[argv.index("-cpu") + 1] == model
    assert argv[argv.index("-machine") + 1] == f"pc,accel={name}"
    assert Path(argv[argv.index("-bios") + 1]).read_bytes() == accel.rom()
    assert result.works
    assert result.stages == "rlipus"


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (ABORTED, "kvm cannot run guests here: failed to set MSR 0x10a to 0x69"),
        (PAUSED, "kvm cannot run guests here: KVM internal error. Suberror: 1"),
        (SILENT, "kvm cannot run guests here: QEMU gave no answer within 2 s"),
        (accel.Outcome(85, b"r", b""), "kvm cannot run guests here: QEMU ended with 85"),
        (accel.Outcome(31, b"rlF", b""), "kvm cannot run guests here: QEMU ended with 31"),
    ],
)
def test_a_guest_that_stops_on_its_way_is_a_no_with_its_reason(
    qemu: Path, clock: ManualClock, outcome: accel.Outcome, reason: str
) -> None:
    result = accel.probe("kvm", qemu=str(qemu), clock=clock, runner=Runs(outcome))
    assert not result.works
    assert result.reason == reason


def script(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "script"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return [str(path)]


def test_a_run_returns_what_was_said_and_how_it_ended(tmp_path: Path) -> None:
    argv = script(tmp_path, "printf rlipus; echo hm >&2; exit 85")
    assert accel.run(argv, 20.0, SystemClock()) == accel.Outcome(85, b"rlipus", b"hm\n")


def test_a_run_is_stopped_as_soon_as_kvm_gives_up(tmp_path: Path) -> None:
    clock = SystemClock()
    begin = clock.monotonic()
    outcome = accel.run(script(tmp_path, "echo 'KVM internal error. Suberror: 1' >&2; exec sleep 30"), 20.0, clock)
    assert outcome.code is None
    assert accel.GIVEN_UP in outcome.err
    assert clock.monotonic() - begin < 10


def test_a_run_is_stopped_when_its_time_is_up(tmp_path: Path) -> None:
    assert accel.run(script(tmp_path, "exec sleep 30"), 0.05, SystemClock()).code is None


def test_a_missing_qemu_is_named_with_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotReady, match="not installed") as caught:
        accel.find_qemu()
    assert caught.value.hint.startswith("apt-get install")


@pytest.mark.parametrize("setting", ["kvm", "tcg"])
def test_a_choice_by_hand_needs_no_probe(setting: str) -> None:
    assert accel.choose(setting, runner=Runs()) == accel.Choice(setting, "set by hand")  # type: ignore[arg-type]


def test_another_word_is_refused() -> None:
    with pytest.raises(Invalid, match="hvf"):
        accel.choose("hvf")


def test_without_the_device_nothing_is_run(qemu: Path, clock: ManualClock) -> None:
    accel.KVM_NODE.unlink()
    choice = accel.choose(qemu=str(qemu), clock=clock, runner=Runs())
    assert choice.accel == "tcg"
    assert "does not exist" in choice.reason


def test_a_device_that_qemus_account_cannot_open_is_not_tried(qemu: Path, clock: ManualClock) -> None:
    choice = accel.choose(qemu=str(qemu), clock=clock, openable=False, runner=Runs())
    assert choice.accel == "tcg"
    assert "cannot be opened" in choice.reason


def test_another_processor_is_not_tried(qemu: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Linux", "here", "6", "1", "aarch64")))
    assert accel.choose(qemu=str(qemu), clock=clock, runner=Runs()).reason.startswith("a aarch64 processor")


def test_a_yes_is_remembered_for_as_long_as_the_machine_is_up(qemu: Path, clock: ManualClock) -> None:
    runs = Runs(RAN)
    assert accel.choose(qemu=str(qemu), clock=clock, openable=True, runner=runs).accel == "kvm"
    clock.sleep(30 * 86400)
    again = accel.choose(qemu=str(qemu), clock=clock, openable=True, runner=runs)
    assert (again.accel, again.remembered, len(runs.argvs)) == ("kvm", True, 1)


def test_a_no_is_asked_again_after_an_hour(qemu: Path, clock: ManualClock) -> None:
    runs = Runs(SILENT, RAN)
    assert accel.choose(qemu=str(qemu), clock=clock, openable=True, runner=runs).accel == "tcg"
    clock.sleep(3599)
    assert accel.choose(qemu=str(qemu), clock=clock, openable=True, runner=runs).remembered
    clock.sleep(2)
    assert accel.choose(qemu=str(qemu), clock=clock, openable=True, runner=runs).accel == "kvm"


def reboot(qemu: Path) -> None:
    accel.BOOT_ID.write_text("second\n")


def upgrade(qemu: Path) -> None:
    os.utime(qemu, (1, 1))


def open_device(qemu: Path) -> None:
    accel.KVM_NODE.chmod(0o606)


def spoil(qemu: Path) -> None:
    (paths.cache() / "accel.json").write_text('["not", "an", "answer"]')


@pytest.mark.parametrize("change", [reboot, upgrade, open_device, spoil])
def test_what_the_answer_depends_on_makes_it_ask_again(
    qemu: Path, clock: ManualClock, change: Callable[[Path], None]
) -> None:
    runs = Runs(RAN, ABORTED)
    accel.choose(qemu=str(qemu), clock=clock, openable=True, runner=runs)
    change(qemu)
    assert accel.choose(qemu=str(qemu), clock=clock, openable=True, runner=runs).accel == "tcg"


def test_a_fresh_choice_runs_the_probe_although_the_answer_is_known(qemu: Path, clock: ManualClock) -> None:
    runs = Runs(RAN, ABORTED)
    accel.choose(qemu=str(qemu), clock=clock, openable=True, runner=runs)
    assert accel.choose(qemu=str(qemu), clock=clock, openable=True, fresh=True, runner=runs).accel == "tcg"


def test_threads_that_boot_at_once_write_the_same_files() -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(8) as pool:
        written = list(pool.map(lambda _number: accel._firmware(), range(64)))
        list(pool.map(lambda number: accel._remember("k", accel.Choice(accel="tcg", reason="x"), number), range(64)))
    assert written[0].read_bytes() == accel.rom()
    assert sorted(path.name for path in written[0].parent.iterdir()) == ["accel-probe.rom", "accel.json"]


def test_where_nothing_can_be_written_the_reason_is_told_and_an_answer_is_not_kept(
    qemu: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, _content: bytes) -> int:
        raise OSError(28, "No space left on device", str(path))

    runs = Runs(RAN, RAN)
    accel._firmware()
    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", full)
        assert accel.choose(qemu=str(qemu), clock=clock, openable=True, runner=runs).accel == "kvm"
        (paths.cache() / "accel-probe.rom").unlink()
        with pytest.raises(NotReady, match=r"cannot be kept in .*: No space left on device") as refused:
            accel.choose(qemu=str(qemu), clock=clock, openable=True, runner=runs)
    assert "CLOUDMESH_CONFIG_DIR" in refused.value.hint
    assert len(runs.argvs) == 1
    assert list(paths.cache().iterdir()) == []


def test_a_folder_that_cannot_be_made_is_told(own_home: Path) -> None:
    paths.private(paths.cache().parent)
    paths.cache().write_text("a file is in the way")
    with pytest.raises(NotReady, match="cannot be kept"):
        accel._firmware()
