"""Run the parts of the test suite, whatever fails, and sum them up (called by ./test).

All of them run in lanes side by side, which wait more than they work: the live tests that boot virtual machines here;
what needs none, and then the live tests of servers; the contracts and the campaigns. Named parts run one by one.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import importlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloudms.clouds.libvirt import host
from tests import images
from tests.children import adopt_orphans, bury, call, call_at_once, say

ROOT = Path(__file__).parent.parent
CAMPAIGNS = ROOT / "tests" / "campaigns"
UNIT_SHARES = [
    [f"tests/unit/{name}" for name in names]
    for names in (("clouds", "jobs"), ("doors", "engine"), ("scaling", "verbs"))
]
"""Unit tests that run beside the rest, each in a process that need not look at the others: some wait more than work."""
ON_OPENSTACK = [str(path.relative_to(ROOT)) for path in sorted(ROOT.glob("tests/live/test_openstack*.py"))]
"""Those that wait for an OpenStack; what waits for other servers runs beside them."""
IMAGES = ["tests/live/test_debian_image.py"]
"""Those that stand on QEMU alone and take minutes."""
PYTEST_PARTS = {
    "unit": [["tests/unit", *[f"--ignore={folder}" for share in UNIT_SHARES for folder in share]], *UNIT_SHARES],
    "contracts": [["tests/contracts", "-m", "not services"]],
    "remote": [["tests/contracts", "-m", "services"]],
    "house": [["tests/house"]],
    "images": [IMAGES],
    "live": [["tests/live", "-m", "not services", *[f"--ignore={file}" for file in IMAGES]]],
    "services": [
        ["tests/live", "-m", "services", *[f"--ignore={file}" for file in ON_OPENSTACK]],
        [*ON_OPENSTACK, "-m", "services"],
    ],
}
"""What pytest is given, in one process or in several at once."""
PARTS = ("lint", *PYTEST_PARTS, "smoke")
LANES = (("live",), ("lint", "unit", "house", "images", "services"), ("contracts", "remote", "smoke"))
MEMORY = "/dev/shm"
"""A file system in memory, where thousands of small files and their fsyncs take no time."""
WITH_OPENSTACK = frozenset(("remote", "services", "smoke"))
"""Parts that stand on a real OpenStack."""
NOTHING_COLLECTED = 5
LIMIT_S = {"live": 5400.0, "services": 5400.0, "remote": 5400.0}
OTHER_LIMIT_S = 1800.0
CAMPAIGN_LIMIT_S = 6 * 3600.0


@dataclass
class Tally:
    """What came out of one part: counts, and the seconds it took."""

    name: str
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0

    def words(self) -> str:
        """Return the counts as pytest words them."""
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        return f"{self.passed} passed, {self.failed} failed{skipped}"


def lint() -> Tally:
    """Run the formatter, the linter and the type checker."""
    tally = Tally("lint")
    for argv in (["ruff", "check"], ["ruff", "format", "--check"], ["mypy"]):
        say(f"$ {' '.join(argv)}")
        good = call([sys.executable, "-m", *argv], limit=OTHER_LIMIT_S) == 0
        tally.passed += good
        tally.failed += not good
    return tally


def pytest_part(name: str, extra: list[str]) -> Tally:
    """Run pytest on tests/`name` and count from its own report."""
    in_memory = name == "unit" and os.access(MEMORY, os.W_OK)
    with tempfile.TemporaryDirectory(prefix="cms-test-", dir=MEMORY if in_memory else None) as folder:
        slowest = ["--durations=12", "--durations-min=10"]
        shares = PYTEST_PARTS[name]
        reports = [Path(folder) / f"report-{number}.xml" for number, _ in enumerate(shares)]
        argvs = [
            [sys.executable, "-m", "pytest", *share, *slowest, f"--junitxml={report}", *extra]
            for share, report in zip(shares, reports, strict=True)
        ]
        env = {**os.environ, "TMPDIR": folder} if in_memory else None
        codes = call_at_once(argvs, limit=LIMIT_S.get(name, OTHER_LIMIT_S), env=env)
        counts = [count(name, report) for report in reports]
    for code, tally in zip(codes, counts, strict=True):
        if code not in (0, NOTHING_COLLECTED) and not tally.failed:
            tally.failed = 1
    return Tally(name, *(sum(getattr(tally, key) for tally in counts) for key in ("passed", "failed", "skipped")))


def count(name: str, report: Path) -> Tally:
    """Return the counts of a JUnit report; an absent or torn one has none."""
    tally = Tally(name)
    try:
        suites = ET.parse(report).getroot().iter("testsuite")  # noqa: S314  (pytest has just written it)
    except (OSError, ET.ParseError):
        return tally
    for suite in suites:
        total, failed, errors, skipped = (int(suite.get(key, 0)) for key in ("tests", "failures", "errors", "skipped"))
        tally.failed += failed + errors
        tally.skipped += skipped
        tally.passed += total - failed - errors - skipped
    return tally


def campaigns() -> dict[str, tuple[str, int]]:
    """Return each campaign's description and how often a full run does it, read without importing anything."""
    found = {}
    for path in sorted(CAMPAIGNS.glob("*.py")):
        constants = {
            target.id: node.value.value
            for node in ast.parse(path.read_text()).body
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        if "DESCRIPTION" in constants:
            found[path.stem] = (str(constants["DESCRIPTION"]), int(str(constants.get("SMOKE", 1))))
    return found


def smoke() -> Tally:
    """Run every campaign as often as it wants to be run in a full run, each in a process of its own."""
    tally = Tally("smoke")
    for name, (_, times) in campaigns().items():
        if times < 1:
            continue
        _, passed, failed = campaign_beside(name, times, OTHER_LIMIT_S)
        tally.passed += passed
        tally.failed += failed
    return tally


def campaign_beside(name: str, times: int | None, limit: float = CAMPAIGN_LIMIT_S) -> tuple[int, int, int]:
    """Run a campaign in a process of its own, and return its exit code, and how many passed and failed."""
    with tempfile.TemporaryDirectory(prefix="cms-test-") as folder:
        figure = Path(folder) / "figure.json"
        often = [] if times is None else ["--times", str(times)]
        argv = [sys.executable, "-m", "tests.run", "campaign", name, *often, "--figure", str(figure)]
        code = call(argv, limit=limit)
        passed, failed = json.loads(figure.read_text()) if figure.exists() else (0, 1)
    return code, passed, failed


def campaign(name: str, times: int | None, figure: Path | None) -> int:
    """Run one campaign in a home of its own, print its figure, and return the exit code; `-` in its name is `_`."""
    known = campaigns()
    name = name.replace("-", "_")
    if name not in known:
        say(f"there is no campaign {name!r}; there are: {', '.join(known) or 'none'}")
        return 2
    with tempfile.TemporaryDirectory(prefix="cms-campaign-") as home:
        for word in [word for word in os.environ if re.match("CMS_(?!TEST_IMAGES)|CLOUDMESH|OS_|AWS_|AZURE_", word)]:
            del os.environ[word]
        os.environ.update(HOME=home, CLOUDMESH_CONFIG_DIR=f"{home}/.cloudmesh")
        _share_images(Path(home) / ".cloudmesh")
        begin = time.monotonic()
        result = importlib.import_module(f"tests.campaigns.{name}").run(known[name][1] if times is None else times)
        seconds = time.monotonic() - begin
    if figure:
        figure.write_text(json.dumps([result.passed, result.failed]))
    total = result.passed + result.failed
    say(f"campaign {name}: {result.passed} of {total} passed in {seconds:.1f} s; {result.text}")
    return 0 if total and not result.failed else 1


def _share_images(folder: Path) -> None:
    """Let a campaign's home use the images that this run has built."""
    store = os.environ.get(images.VARIABLE)
    if store:
        folder.mkdir(mode=0o700)
        Path(store).mkdir(exist_ok=True)
        (folder / "images").symlink_to(store)


@contextlib.contextmanager
def images_of_this_run() -> Iterator[None]:
    """Name the store in which tests share images, unless somebody has."""
    if os.environ.get(images.VARIABLE):
        yield
        return
    with tempfile.TemporaryDirectory(prefix="cms-test-images-") as folder:
        os.environ[images.VARIABLE] = f"{folder}/store"
        yield
        del os.environ[images.VARIABLE]


@contextlib.contextmanager
def daemons_as_found() -> Iterator[None]:
    """Stop root's libvirt daemons at the end if they were started meanwhile and no machine runs under them."""
    ours = os.geteuid() == 0 and not host.systemd_runs()
    before = {name: host.answers(f"libvirt/{name}-sock") for name in ("libvirt", "virtlogd")}
    try:
        yield
    finally:
        if ours and not before["libvirt"] and host.answers("libvirt/libvirt-sock") and not machines_run():
            stop(host.RUN / "libvirtd.pid")
            if not before["virtlogd"]:
                stop(host.RUN / "virtlogd.pid")


@contextlib.contextmanager
def openstack_as_found(names: Sequence[str]) -> Iterator[None]:
    """Bring an OpenStack up while other tests run, if the parts of these names stand on one, and end it at last, unless
    it ran before. Where it cannot be had, the tests that need it say why.
    """
    if WITH_OPENSTACK.isdisjoint(names):
        yield
        return
    argv = [sys.executable, "-m", "tests.live.openstack", "hold"]
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE, start_new_session=True, **quiet):
        yield  # at the end, or when we are killed, the holder's standard input ends, and it leaves


def machines_run() -> bool:
    """Tell whether root's libvirt has any machine running; True when it does not say."""
    argv = ["virsh", "-c", host.SYSTEM_URI, "list", "--name"]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return True
    return done.returncode != 0 or bool(done.stdout.strip())


def stop(pid_file: Path) -> None:
    """End the process that wrote `pid_file`."""
    with contextlib.suppress(OSError, ValueError):
        os.kill(int(pid_file.read_text()), signal.SIGTERM)


def run_parts(names: list[str], extra: list[str]) -> int:
    """Run the named parts, print the summary, and return 0 only if something ran and all of it passed."""
    begin = time.monotonic()
    with daemons_as_found(), openstack_as_found(names), images_of_this_run():
        tallies, interrupted = one_by_one(names, extra)
    return sum_up(tallies, time.monotonic() - begin, interrupted=interrupted)


def one_by_one(names: Sequence[str], extra: list[str]) -> tuple[list[Tally], bool]:
    """Run parts one after the other; tell also whether the person stopped them."""
    tallies: list[Tally] = []
    for name in names:
        say(f"\n== {name} ==")
        tally, interrupted = timed(name, extra)
        tallies.append(tally)
        if interrupted:
            return tallies, True
    return tallies, False


def run_all(extra: list[str]) -> int:
    """Run every part, in lanes side by side, print what each lane printed and the summary, and return the exit code."""
    begin = time.monotonic()
    every = [name for names in LANES for name in names]
    with (
        daemons_as_found(), openstack_as_found(every), images_of_this_run(),
        tempfile.TemporaryDirectory(prefix="cms-lanes-") as folder,
    ):  # fmt: skip
        lanes = [Lane(names, Path(folder) / f"{number}", extra) for number, names in enumerate(LANES)]
        try:
            while [lane for lane in lanes if lane.runs()]:
                bury({lane.child.pid for lane in lanes})
                time.sleep(0.2)
            interrupted = False
        except KeyboardInterrupt:
            interrupted = True
        finally:
            for lane in lanes:
                lane.end()
        tallies = [tally for lane in lanes for tally in lane.tallies()]
    order = {name: place for place, name in enumerate(PARTS)}
    tallies.sort(key=lambda tally: order[tally.name])
    return sum_up(tallies, time.monotonic() - begin, interrupted=interrupted)


def lane(names: list[str], figure: Path, extra: list[str]) -> int:
    """Run parts for whoever runs this as a lane, and leave the counts in the file `figure`."""
    tallies, interrupted = one_by_one(names, extra)
    figure.write_text(json.dumps([vars(tally) for tally in tallies]))
    return 130 if interrupted else 0


class Lane:
    """Some parts in a process of their own; the first lane prints at once, others when they have ended."""

    def __init__(self, names: Sequence[str], place: Path, extra: list[str]) -> None:
        self.names, self.figure, self.said = names, place.with_suffix(".json"), place.with_suffix(".log")
        self.quiet = names is not LANES[0]
        argv = [sys.executable, "-m", "tests.run", *names, "--figure", str(self.figure), "--", *extra]
        with self.said.open("wb") as file:
            self.child = subprocess.Popen(
                argv, cwd=ROOT, stdin=subprocess.DEVNULL,
                stdout=file if self.quiet else None, stderr=subprocess.STDOUT if self.quiet else None,
            )  # fmt: skip

    def runs(self) -> bool:
        """Whether it has not ended."""
        return self.child.poll() is None

    def end(self) -> None:
        """Stop it if it still runs, as Ctrl-C does, and print what it printed."""
        if self.runs():
            self.child.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.child.wait(timeout=30)
            self.child.kill()
            self.child.wait()
        if self.quiet:
            say(self.said.read_text(errors="replace"))

    def tallies(self) -> list[Tally]:
        """Return the counts of its parts; one that was not counted has failed."""
        try:
            counted = {row["name"]: Tally(**row) for row in json.loads(self.figure.read_text())}
        except (OSError, ValueError):
            counted = {}
        return [counted.get(name) or Tally(name, failed=1) for name in self.names]


def timed(name: str, extra: list[str]) -> tuple[Tally, bool]:
    """Run one part and time it; tell also whether the person stopped it."""
    interrupted = False
    begin = time.monotonic()
    try:
        tally = lint() if name == "lint" else smoke() if name == "smoke" else pytest_part(name, extra)
    except KeyboardInterrupt:
        tally, interrupted = Tally(name, failed=1), True
    tally.seconds = time.monotonic() - begin
    return tally, interrupted


def sum_up(tallies: list[Tally], seconds: float, *, interrupted: bool) -> int:
    """Print a line per part and the closing lines, with the `seconds` that all took; return the exit code."""
    say()
    total = Tally("total")
    for tally in tallies:
        say(f"{tally.name:<10} {tally.seconds:8.1f} s   {tally.words()}")
        total.passed += tally.passed
        total.failed += tally.failed
        total.skipped += tally.skipped
    say(f"all parts  {seconds:8.1f} s")
    say(total.words())
    if interrupted:
        return 130
    return 0 if total.passed and not total.failed else 1


def parse(argv: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Split the arguments into ours and, after `--`, pytest's."""
    ours, extra = (argv[: argv.index("--")], argv[argv.index("--") + 1 :]) if "--" in argv else (argv, [])
    parser = argparse.ArgumentParser(
        prog="./test", description="Run all parts of the test suite, or the named ones. What follows -- goes to pytest."
    )
    choice = parser.add_argument("part", nargs="*", help=f"{', '.join(PARTS)}, or: campaign [NAME] [--times N]")
    choice.metavar = "PART"
    parser.add_argument("--times", type=int, metavar="N", help="how often a campaign does it")
    parser.add_argument("--figure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(ours)
    if options.part[:1] != ["campaign"] and (wrong := [word for word in options.part if word not in PARTS]):
        parser.error(f"no part is called {wrong[0]!r}; there are {', '.join(PARTS)} and campaign")
    return options, extra


def main(argv: list[str]) -> int:
    """Run what `argv` names and return the exit code."""
    options, extra = parse(argv)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # thousands of short processes would compile all they import
    inside = options.part[:1] == ["campaign"] and options.figure is not None
    if not inside:  # whoever calls a campaign collects what it leaves behind
        adopt_orphans()
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # a shell's background job ignores it, and so do its children
    if not options.part:
        return run_all(extra)
    if options.part[:1] != ["campaign"]:
        return lane(options.part, options.figure, extra) if options.figure else run_parts(options.part, extra)
    if inside:
        return max(campaign(name, options.times, options.figure) for name in options.part[1:])
    if len(options.part) > 1:
        wanted = ["smoke"] if any("openstack" in name for name in options.part[1:]) else []
        with daemons_as_found(), openstack_as_found(wanted):
            return max(campaign_beside(name, options.times)[0] for name in options.part[1:])
    for name, (description, times) in campaigns().items():
        say(f"{name:<16} {description} (a full run does it {times} times)")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
