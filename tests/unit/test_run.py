"""./test itself: what it counts, what it calls a failure, and whose daemons it stops."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cloudms.clouds.libvirt import host
from tests import run

REPORT = '<testsuites><testsuite tests="9" failures="2" errors="1" skipped="3"/></testsuites>'


def reporting(monkeypatch: pytest.MonkeyPatch, code: int, report: str) -> None:
    """Make pytest's processes write `report` and end with `code`."""

    def call(argvs: list[list[str]], *, limit: float, env: dict[str, str] | None = None) -> list[int]:
        for argv in argvs:
            path = next(word for word in argv if word.startswith("--junitxml=")).removeprefix("--junitxml=")
            if report:
                Path(path).write_text(report)
        return [code for _ in argvs]

    monkeypatch.setattr(run, "call_at_once", call)


def test_a_part_counts_what_pytest_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    reporting(monkeypatch, 1, REPORT)
    assert run.pytest_part("house", []) == run.Tally("house", passed=3, failed=3, skipped=3)
    assert run.pytest_part("unit", []) == run.Tally("unit", passed=12, failed=12, skipped=12)


@pytest.mark.parametrize(("code", "failed"), [(2, 1), (124, 1), (-9, 1), (run.NOTHING_COLLECTED, 0)])
def test_a_part_that_dies_without_a_report_has_failed(monkeypatch: pytest.MonkeyPatch, code: int, failed: int) -> None:
    reporting(monkeypatch, code, "")
    assert run.pytest_part("house", []).failed == failed
    assert run.pytest_part("unit", []).failed == 4 * failed


def test_a_torn_report_counts_nothing_and_the_exit_code_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    reporting(monkeypatch, 1, REPORT[:20])
    assert run.pytest_part("house", []) == run.Tally("house", failed=1)


@pytest.mark.parametrize(
    ("tallies", "code"),
    [
        ([run.Tally("a", passed=1)], 0),
        ([run.Tally("a", passed=1), run.Tally("b", failed=1)], 1),
        ([run.Tally("a", skipped=4)], 1),
        ([], 1),
    ],
)
def test_only_something_that_ran_and_passed_is_a_success(
    capsys: pytest.CaptureFixture[str], tallies: list[run.Tally], code: int
) -> None:
    assert run.sum_up(tallies, 1.0, interrupted=False) == code
    passed, failed = sum(tally.passed for tally in tallies), sum(tally.failed for tally in tallies)
    assert capsys.readouterr().out.splitlines()[-1].startswith(f"{passed} passed, {failed} failed")


def test_every_part_runs_although_an_early_one_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []

    def part(name: str, extra: list[str]) -> run.Tally:
        ran.append(f"{name} {' '.join(extra)}")
        return run.Tally(name, failed=1)

    monkeypatch.setattr(run, "pytest_part", part)
    monkeypatch.setattr(run, "adopt_orphans", lambda: None)
    assert run.main(["unit", "house", "--", "-k", "x"]) == 1
    assert ran == ["unit -k x", "house -k x"]


def test_all_parts_run_in_lanes_and_every_count_arrives(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "LANES", (("house",), ("unit",)))
    monkeypatch.setattr(run, "adopt_orphans", lambda: None)
    assert run.main(["--", "--no-such-option"]) == 1
    out = capfd.readouterr().out
    assert "== house ==" in out
    assert "== unit ==" in out
    assert out.splitlines()[-1] == "0 passed, 5 failed"


@pytest.mark.parametrize("part", ["unit", "services"])
def test_what_the_first_share_leaves_out_is_in_the_others(part: str) -> None:
    rest, *others = run.PYTEST_PARTS[part]
    named = [word for other in others for word in other if word.startswith("tests/")]
    assert [word.removeprefix("--ignore=") for word in rest if word.startswith("--ignore=")] == named
    assert named
    assert all((run.ROOT / place).exists() for place in [*named, *run.IMAGES])


def test_every_part_is_in_one_lane() -> None:
    assert sorted(name for names in run.LANES for name in names) == sorted(run.PARTS)


def test_a_lane_that_dies_has_failed_in_all_its_parts(tmp_path: Path) -> None:
    dead = run.Lane(("unit", "house"), tmp_path / "1", ["--no-such-option-of-pytest"])
    dead.child.kill()
    dead.end()
    assert [tally.failed for tally in dead.tallies()] == [1, 1]


def test_an_unknown_part_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run.main(["units"])
    assert "no part is called 'units'" in capsys.readouterr().err


def test_campaigns_are_listed_without_importing_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "kill.py").write_text("DESCRIPTION = 'kill it'\nSMOKE = 2\nraise SystemExit('imported')\n")
    (tmp_path / "helper.py").write_text("NOTHING = 1\n")
    monkeypatch.setattr(run, "CAMPAIGNS", tmp_path)
    monkeypatch.setattr(run, "adopt_orphans", lambda: None)
    assert run.campaigns() == {"kill": ("kill it", 2)}
    assert run.main(["campaign"]) == 0
    assert capsys.readouterr().out == "kill             kill it (a full run does it 2 times)\n"
    assert run.main(["campaign", "murder"]) == 2


@pytest.mark.parametrize(
    ("before", "machines", "stopped"),
    [(False, False, ["libvirtd.pid", "virtlogd.pid"]), (False, True, []), (True, False, [])],
)
def test_only_daemons_started_meanwhile_and_idle_are_stopped(
    monkeypatch: pytest.MonkeyPatch, before: bool, machines: bool, stopped: list[str]
) -> None:
    ended: list[str] = []
    running = before
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(host, "systemd_runs", lambda: False)
    monkeypatch.setattr(host, "answers", lambda name: running)
    monkeypatch.setattr(run, "machines_run", lambda: machines)
    monkeypatch.setattr(run, "stop", lambda path: ended.append(path.name))
    with run.daemons_as_found():
        running = True
    assert ended == stopped


@pytest.mark.parametrize(("names", "held"), [(["unit", "house"], ""), (["lint", "remote"], "held left ")])
def test_an_openstack_is_kept_while_parts_run_that_stand_on_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, names: list[str], held: str
) -> None:
    said = tmp_path / "said"
    holder = tmp_path / "holder"
    holder.write_text(f"#!/bin/sh\nprintf 'held ' >> {said}\ncat >/dev/null\nprintf 'left ' >> {said}\n")
    holder.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(holder))
    said.touch()
    with run.openstack_as_found(names):
        end = time.monotonic() + 20
        while said.read_text() != held.removesuffix("left "):
            assert time.monotonic() < end, "it was never held"
            time.sleep(0.01)
    assert said.read_text() == held


def test_a_command_that_takes_too_long_is_ended() -> None:
    assert run.call(["sleep", "30"], limit=0.05) == 124


def test_commands_run_at_once_and_what_the_later_print_comes_last(capfd: pytest.CaptureFixture[str]) -> None:
    waits = "until [ -e {0} ]; do sleep 0.02; done; echo {1}; exit {1}"
    first, second = (f"/tmp/cms-at-once-{os.getpid()}-{name}" for name in "ab")
    argvs = [
        ["sh", "-c", f"touch {first}; {waits.format(second, 3)}"],
        ["sh", "-c", f"touch {second}; {waits.format(first, 4)}"],
    ]
    try:
        assert run.call_at_once(argvs, limit=20) == [3, 4]
    finally:
        for path in (first, second):
            Path(path).unlink(missing_ok=True)
    assert capfd.readouterr().out == "3\n4\n\n"


def test_orphans_are_adopted_and_buried() -> None:
    script = """
import subprocess, sys, time
from pathlib import Path
from tests import run
run.adopt_orphans()
orphan = subprocess.run(["sh", "-c", "sleep 0.05 >/dev/null & echo $!"], capture_output=True, text=True).stdout.strip()
assert f"PPid:\\t{run.os.getpid()}" in Path(f"/proc/{orphan}/status").read_text()
assert run.call(["sleep", "0.3"], limit=20) == 0
assert not Path(f"/proc/{orphan}").exists()
"""
    subprocess.run([sys.executable, "-c", script], cwd=run.ROOT, check=True, timeout=60)
