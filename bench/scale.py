"""From overload to the next member's first answer: by what the next member was before, and for one long window.

    python -m bench.scale [--runs 3] [--ways suspended,saved,stopped,booted,original]

One VM serves behind the balancer with two slots; each request takes one for a quarter of a second and hardly any
processor, so the host's own cores stay free. Then load comes that is half as much again as it can serve. The next
member is a standby that is suspended, saved or stopped, or it is booted. `original` is the rule of an older scaler: a
mean over 30 s, and a machine that is shut off. Told are the seconds from the beginning of the load to the decision, and
from there to the first request that the next member has answered, less the quarter of a second that the request takes.
Run it on an idle machine; the exit code is 1 when a way is slower than its limit.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from cloudms.balancers import for_group
from cloudms.context import Context
from cloudms.errors import CloudmsError
from cloudms.record import Record
from cloudms.scaling import store

CMS = [sys.executable, "-m", "cloudms"]
SLOTS, SECONDS = 2, 0.25
OVERLOAD = 1.5
LIMITS = {"suspended": 0.6, "saved": 1.5}
"""The most seconds from the decision to the first answer, the work itself taken off, by way."""
PATIENCE = 600.0


class Way(Record):
    """How the next member comes: what becomes of one that goes (`on_in`), and the policy's `window` and `interval`."""

    on_in: str
    window: str = "1s"
    interval: str = "0.25s"
    standby: bool = True


WAYS = {
    "suspended": Way(on_in="suspend"),
    "saved": Way(on_in="save"),
    "stopped": Way(on_in="stop"),
    "booted": Way(on_in="delete", standby=False),
    "original": Way(on_in="stop", window="30s", interval="5s"),
}
POLICY = """\
policies:
  - {{kind: threshold, metric: busy, above: 75, window: {window}}}
min: 1
max: 2
interval: {interval}
tolerance: 0
stabilisation: {{up: 0s, down: 1s}}
warm_up: 1s
cooldown: {{up: 1s, down: 1s}}
on_in: {on_in}
drain: 10s
balancer: {{slots: {slots}, most: 4, idempotent: true}}
"""


class Took(Record):
    """Seconds from overload to the decision, and from there to the next member's first answer, less its work."""

    decided: float
    answered: float


def cms(*words: str) -> str:
    """Run a `cms` command and return what it printed."""
    done = subprocess.run([*CMS, *words], check=True, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
    return done.stdout


@contextmanager
def beside(log: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a `cms` command beside this program, and end it."""
    with (
        log.open("wb") as said,
        subprocess.Popen([*CMS, *words], stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()
            process.wait(120)


class Scene:
    """One group in one way. Parameters: `url` and `token`, of the store of answers."""

    def __init__(self, folder: Path, url: str, token: Path, name: str, way: Way) -> None:
        self.folder, self.url, self.token, self.name, self.way = folder, url, token, name, way
        self.ctx = Context()

    def run(self) -> Took:
        """Let the load come, and return how long everything took."""
        script, policy = self.folder / f"{self.name}.sh", self.folder / f"{self.name}.yaml"
        cms(
            "workload", "user-data", str(script), "--store", self.url.replace("127.0.0.1", "10.0.2.2"), "--token-file",
            str(self.token), "--slots", str(SLOTS), "--seconds", str(SECONDS), "--quiet",
        )  # fmt: skip
        way = self.way
        policy.write_text(POLICY.format(window=way.window, interval=way.interval, on_in=way.on_in, slots=SLOTS))
        size = "2" if way.standby else "1"
        try:
            cms(
                "group", "create", self.name, "--size", size, "--image", "micro", "--cloud", "local", "--user-data",
                str(script), "--open", "8080", "--wait", "ready", "--timeout", str(PATIENCE), "--quiet",
            )  # fmt: skip
            cms("group", "policy", "set", self.name, str(policy), "--quiet")
            with beside(self.folder / f"{self.name}.log", "scaler", "run", "--group", self.name):
                self.until(self.at_rest)
                return self.measured()
        finally:
            cms("group", "delete", self.name, "--yes", "--quiet")
            self.ctx.close()

    def at_rest(self) -> bool:
        """Whether one member serves, the other one sleeps as it should, and nothing is in flight."""
        found = store.get(self.ctx, self.name)
        counts = store.counted(list(found.roster().values())) if found else {}
        wanted = {"in_service": 1, "standby": 1} if self.way.standby else {"in_service": 1}
        return bool(found and not found.pending and counts == wanted and len(self.serving()) == 1)

    def serving(self) -> dict[str, bool]:
        """Return who is given requests, and whether each has answered one."""
        try:
            servers = for_group(self.ctx, self.name).servers()
        except CloudmsError:
            return {}
        return {server.name: server.latency is not None for server in servers if server.takes or server.latency}

    def measured(self) -> Took:
        """Put the load on it, and look until the next member has answered."""
        rate, before = OVERLOAD * SLOTS / SECONDS, set(self.serving())
        words = ["load", "run", "--group", self.name, "--rate", f"{rate:g}", "--for", "never", "--store", self.url]
        words += ["--token-file", str(self.token), "--ledger", str(self.folder / f"{self.name}.ledger"), "--seed", "1"]
        with beside(self.folder / f"{self.name}.load", *words):
            self.until(lambda: for_group(self.ctx, self.name).stats(2.0).requests > 0, 0.005)
            begun = time.time()
            self.until(lambda: any(done for name, done in self.serving().items() if name not in before), 0.005)
            answered = time.time()
        out = [each.at for each in store.decisions(self.ctx, self.name, begun) if each.action == "out"]
        return Took(decided=out[0] - begun, answered=answered - out[0] - SECONDS)

    def until(self, check: object, pause: float = 0.1) -> None:
        """Wait until something is so."""
        assert callable(check)
        end = time.monotonic() + PATIENCE
        while not check():
            assert time.monotonic() < end, (self.folder / f"{self.name}.log").read_text(errors="replace")[-2000:]
            time.sleep(pause)


@contextmanager
def answers(folder: Path) -> Iterator[tuple[str, Path]]:
    """Run the store of answers; yield its address and the file of its token."""
    token = folder / "token"
    words = ["workload", "store", "--port", "0", "--file", str(folder / "answers.sqlite"), "--token-file", str(token)]
    with subprocess.Popen([*CMS, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().partition("listening at ")[2].strip(), token
        finally:
            process.terminate()


def main() -> int:
    """Run the ways in turn and print medians; exit 1 when one is above its limit."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=3, help="how often each way is measured; original once")
    parser.add_argument("--ways", default=",".join(WAYS), help=f"of {', '.join(WAYS)}")
    parser.add_argument("--json", action="store_true", help="print every run as JSON, too")
    options = parser.parse_args()
    ways = options.ways.split(",")
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(143))  # what was made is deleted all the same
    took: dict[str, list[Took]] = {name: [] for name in ways}
    with tempfile.TemporaryDirectory(prefix="cms-bench-") as home:
        os.environ.update(HOME=home, CLOUDMESH_CONFIG_DIR=f"{home}/.cloudmesh")
        cms("image", "build", "micro", "--quiet")
        with answers(Path(home)) as (url, token):
            for number in range(options.runs):
                for name in ways:
                    if name != "original" or not number:
                        took[name].append(Scene(Path(home), url, token, f"{name}-{number}", WAYS[name]).run())
        cms("sweep", "--apply", "--yes", "--quiet")
    if options.json:
        print(json.dumps({name: [each.to_document() for each in runs] for name, runs in took.items()}))
    return report(took)


def report(took: dict[str, list[Took]]) -> int:
    """Print the table and return the exit code."""
    slow = 0
    for name, runs in took.items():
        decided, answered = median(each.decided for each in runs), median(each.answered for each in runs)
        limit = LIMITS.get(name)
        slow += limit is not None and answered > limit
        least, most = min(each.answered for each in runs), max(each.answered for each in runs)
        said = f"   at most {limit:g} s" if limit else ""
        print(
            f"{name:<10} decided after {decided:6.2f} s, answered {answered:6.2f} s later ({least:.2f} to {most:.2f}), "
            f"{decided + answered:6.2f} s in all{said}"
        )
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
