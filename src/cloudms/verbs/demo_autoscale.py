"""`cms demo autoscale`: a service on real VMs that grows with its load and shrinks without, and loses no request."""

from __future__ import annotations

import shlex
import subprocess
import tempfile
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

from cloudms.context import Context
from cloudms.engine.reserve import free_names
from cloudms.errors import CloudmsError, Interrupted, NotReady, Unsupported
from cloudms.scaling import store
from cloudms.verb import LOCAL, Doc, Names, Title, verb
from cloudms.verbs.demo import Show

_POLICY = """\
policies:
  - {kind: threshold, metric: busy, above: 75, window: 3s}
min: 1
max: 3
interval: 1s
warm_up: 3s
stabilisation: {down: 4s}
cooldown: {up: 4s, down: 4s}
on_in: suspend
drain: 20s
balancer: {slots: 2, idempotent: true, queue: 10m}
"""
_WORK = ("--slots", "2", "--seconds", "1")
"""A member does two requests per second, and needs no processor for it."""
_STEPS = {False: "0.5:8,2.5:25,4.5:45,0.5:25", True: "0.5:5,2.5:15,4.5:30,0.5:10"}
"""Requests per second, by whether it is the short form."""
_LOOK = 2.0
_ENDS_S = 60.0
"""Seconds that a process of the demo has to end."""
_CALM_S = 900.0
"""Seconds that the group has to come to rest on a slow machine."""


@verb("demo", "autoscale", streams=True, doors=LOCAL, example="cms demo autoscale")
def autoscale(
    ctx: Context,
    *,
    cloud: Annotated[str | None, Doc("cloud to show it on, one whose VMs are on this machine"), Names("cloud")] = None,
    short: Annotated[bool, Doc("with less load, in half the time")] = False,
) -> Iterator[str]:
    """Scale a small service from one VM to three and back under load, showing every command.

    A licence-plate service runs on local VMs behind HAProxy. Load rises, a member that sleeps is woken, then one is
    booted; load falls, and members are put to sleep again. In the end the ledger tells whether each request was
    answered exactly once, a drawing shows what happened when, and all is deleted. It takes a few minutes.
    """
    where = ctx.default_cloud(cloud or "")
    if ctx.config.cloud(where).kind != "libvirt":
        raise Unsupported(f"the demo's VMs run on this machine, and '{where}' is elsewhere", hint="--cloud local")
    ctx.cloud(where).reach()
    (name,) = free_names(ctx, "plates", 1)
    with tempfile.TemporaryDirectory(prefix="cms-demo-") as folder:
        show = Scene(ctx, where, name, Path(folder), short=short)
        try:
            yield from show.all()
        except GeneratorExit:
            show.clean_up()
            raise
        except (KeyboardInterrupt, CloudmsError) as error:
            try:
                yield "\nthe demo stops; what it made is deleted ..."
            finally:
                clean = show.clean_up()
            if not isinstance(error, CloudmsError):
                error = Interrupted("the demo was stopped; nothing of it is left", hint="cms demo autoscale")
            if not clean:
                error.hint = f"not all could be deleted: cms group delete {name}, then cms sweep"
            raise error from None


class Scene:
    """One demonstration. Parameters: `group`, the name of what it makes; `folder` of its files."""

    def __init__(self, ctx: Context, cloud: str, group: str, folder: Path, *, short: bool) -> None:
        self._ctx = ctx
        self._group = group
        self._folder = folder
        self._short = short
        self._show = Show(ctx.terminal, cloud, [group], local=True)
        self._cloud = cloud
        self._running: dict[str, subprocess.Popen[str]] = {}

    def all(self) -> Iterator[str]:
        """Yield everything that is shown. Raises: what goes wrong."""
        group, folder, show = self._group, self._folder, self._show
        token, plates, policy = (str(folder / name) for name in ("token", "plates.sh", "plates.yaml"))
        Path(policy).write_text(_POLICY, encoding="utf-8")
        if not self._has_image():
            yield from show("the image, built once from Debian packages", "image", "build", "micro")
        url = yield from self._store(token)
        guests = url.replace("127.0.0.1", "10.0.2.2")
        yield from show(
            "what makes a VM a member: two slots, and each request takes one of them for a second",
            "workload", "user-data", plates, "--store", guests, "--token-file", token, *_WORK,
        )  # fmt: skip
        yield from show(
            "two VMs", "group", "create", group, "--size", "2", "--image", "micro", "--cloud", self._cloud,
            "--user-data", plates, "--open", "8080",
        )  # fmt: skip
        yield "\n# how they are to scale"
        yield from (f"    {line}" for line in _POLICY.splitlines())
        yield from show("the group takes it over", "group", "policy", "set", group, policy)
        yield from self._scaled(url, token)
        yield from show("what was decided, and why", "group", "history", group, "--columns", "at,action,reason,outcome")
        yield from show("the same, drawn", "group", "plot", group, "--since", "15m")
        yield from self._judged(url, token)
        yield from show("all of it goes away", "group", "delete", group, "--yes")
        self._end("store")
        yield from show("nothing is left behind", "sweep", "--cloud", self._cloud)
        yield "\nThat was the demo. Next: cms group policy set --help, and the tutorial in docs/tutorial-autoscale.md"

    def _has_image(self) -> bool:
        from cloudms.images.store import ImageStore

        return ImageStore().find("micro") is not None

    def _store(self, token: str) -> Generator[str, None, str]:
        """Start the store of answers, and return its address."""
        words = (
            "workload",
            "store",
            "--port",
            "0",
            "--file",
            str(self._folder / "answers.sqlite"),
            "--token-file",
            token,
        )
        yield from self._begin("the store of the answers, beside the members", "store", words)
        process = self._running["store"]
        line = process.stdout.readline() if process.stdout else ""
        if "listening at " not in line:
            raise NotReady("the store of answers does not start", hint="cms workload store tells why")
        return line.partition("listening at ")[2].strip()

    def _scaled(self, url: str, token: str) -> Iterator[str]:
        """Let the scaler run, put load on the group, and show how it is, until it has come to rest."""
        group = self._group
        yield from self._begin("the loop that scales it", "scaler", ("scaler", "run", "--group", group))
        yield "\n# nobody asks for anything: one of the two is put to sleep"
        yield from self._watched(lambda now: self._serving() == 1 and self._counts().get("standby", 0) >= 1)
        words = ["load", "run", "--group", group, "--steps", _STEPS[self._short], "--ledger", self._ledger]
        words += ["--store", url, "--token-file", token, "--seed", "7", "--timeout", "60", "--give-up", "900"]
        yield from self._begin("now load: from one request in two seconds to nine, and down again", "load", words)
        load = self._running["load"]
        yield from self._watched(lambda now: load.poll() is not None)
        yield "\n# the load is over, and the group comes to rest"
        yield from self._watched(lambda now: self._serving() == 1 and not self._busy())
        self._end("scaler")
        most = self._most
        if most < 3:
            raise NotReady(f"the group had {most} members at its most, and not 3", hint="cms group history tells why")
        yield f"\nThe group went from 1 to {most} members and back to 1."

    @property
    def _ledger(self) -> str:
        return str(self._folder / "plates.ledger")

    _most = 0

    def _watched(self, ended: Any) -> Iterator[str]:
        """Yield a line about the group when it has changed, until it is as it should be. Raises: NotReady."""
        begun = self._ctx.clock.monotonic()
        last = ""
        while True:
            now = self._ctx.clock.monotonic() - begun
            for name, process in self._running.items():
                if process.poll() is not None and name != "load":
                    raise NotReady(f"the {name} of the demo has ended early", hint="cms doctor --fix")
            self._most = max(self._most, self._serving())
            line = self._line()
            if line != last:
                yield f"    {now:4.0f} s  {line}"
                last = line
            if ended(now):
                return
            if now > _CALM_S:
                raise NotReady(f"the group is not at rest after {_CALM_S:g} s", hint=f"cms group history {self._group}")
            self._ctx.pause(_LOOK)

    def _counts(self) -> dict[str, int]:
        found = store.get(self._ctx, self._group)
        return store.counted(list(found.roster().values())) if found else {}

    def _serving(self) -> int:
        counts = self._counts()
        return counts.get("in_service", 0) + counts.get("warming", 0)

    def _busy(self) -> bool:
        found = store.get(self._ctx, self._group)
        return bool(found and found.pending)

    def _line(self) -> str:
        """Return how the group is: a bar of its load, and a sign for each member."""
        looks = store.looks(self._ctx, self._group, self._ctx.clock.now() - 10)
        told = {sample.metric: sample.value for sample in looks[-1].samples} if looks else {}
        busy = told.get("busy")
        bar = "?" * 20 if busy is None else ("█" * round(busy / 5)).ljust(20, "·")
        found = store.get(self._ctx, self._group)
        members = sorted(found.roster().values(), key=lambda each: each.name) if found else []
        shown = "  ".join(f"{each.name} {each.status.replace('_', ' ')}" for each in members)
        return f"busy {bar} {'' if busy is None else f'{busy:3.0f}%'}  {shown}"

    def _judged(self, url: str, token: str) -> Iterator[str]:
        """Show what the ledger says. Raises: Partial (a request was lost or doubled)."""
        yield from self._show(
            "the ledger: was every request answered exactly once?",
            "load", "check", self._ledger, "--store", url, "--token-file", token,
        )  # fmt: skip

    def _begin(self, comment: str, name: str, words: Sequence[str]) -> Iterator[str]:
        """Start a command that runs beside the demo, and yield how a person would."""
        yield f"\n# {comment}"
        yield Title(f"$ cms {shlex.join(words)} &")
        out = subprocess.PIPE if name == "store" else (self._folder / f"{name}.log").open("wb")
        self._running[name] = subprocess.Popen(
            self._show.line(words), stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.DEVNULL, text=True,
            start_new_session=True, env=self._show.env(),
        )  # fmt: skip

    def _end(self, name: str) -> None:
        """End a command that runs beside the demo."""
        process = self._running.pop(name, None)
        if process is None:
            return
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(_ENDS_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if process.stdout is not None:
            process.stdout.close()

    def clean_up(self) -> bool:
        """End and delete what was made so far; whether that went well."""
        for name in ("load", "scaler"):
            self._end(name)
        try:
            there = self._ctx.catalog.get("group", self._group) is not None
        except CloudmsError:
            there = True
        gone = not there or self._show.quietly("group", "delete", self._group, "--yes", "--quiet")
        self._end("store")
        return self._show.quietly("sweep", "--cloud", self._cloud, "--apply", "--yes", "--quiet") and gone
