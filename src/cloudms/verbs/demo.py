"""Watch real virtual machines boot, work and go away again."""

from __future__ import annotations

import contextlib
import secrets
import sys
from collections.abc import Iterator
from typing import Annotated

from cloudms import names as naming
from cloudms.context import Context
from cloudms.engine.reserve import free_names
from cloudms.errors import CloudmsError, Interrupted, NotReady
from cloudms.verb import LOCAL, Doc, Names, verb

_WORK = 'hostname; python3 -c "print(sum(i * i for i in range(10**5)))"'


@verb("demo", streams=True, doors=LOCAL, example="cms demo --keep")
def demo(
    ctx: Context,
    *,
    keep: Annotated[bool, Doc("keep the VMs")] = False,
    cloud: Annotated[str | None, Doc("cloud to show it on"), Names("cloud")] = None,
) -> Iterator[str]:
    """Boot two VMs, work on them, suspend and resume one, and delete both, showing every command.

    Where this machine cannot run VMs, the same steps are shown on the fake cloud.
    """
    where, why = _place(ctx, cloud or "")
    if why:
        yield why
    show = _Show(ctx, where)
    try:
        yield from _steps(show, keep=keep)
    except (KeyboardInterrupt, CloudmsError, GeneratorExit):
        show.quietly("vm", "delete", "--label", f"demo={show.label}", "--missing-ok", "--yes", "--quiet")
        show.quietly("sweep", "--cloud", where, "--apply", "--yes", "--quiet")
        raise


def _place(ctx: Context, cloud: str) -> tuple[str, str]:
    """Return the cloud to use, and a line that says why it is the fake one."""
    where = ctx.default_cloud(cloud)
    try:
        if ctx.cloud_class(where).simulated:
            return where, f"NOTE: {where} is a fake cloud: what follows is simulated."
        ctx.cloud(where).reach()
    except CloudmsError as error:
        if cloud:
            raise
        return "fake", f"NOTE: {error.message}; the same steps follow on the FAKE cloud, nothing is real. {error.hint}"
    return where, ""


def _steps(show: _Show, *, keep: bool) -> Iterator[str]:
    first, second = show.names
    both = naming.compress(show.names)
    on = ["--cloud", show.cloud] if show.cloud != "local" else []
    if show.local:
        yield from show("the image, built once from Debian packages", "image", "build", "micro")
    yield from show(
        "two VMs, ready when SSH lets us in",
        "vm", "boot", "micro", "--name", show.base, "--count", "2", "--label", f"demo={show.label}", *on,
    )  # fmt: skip
    yield from show("what there is", "vm", "list", both, *on)
    for name in show.names:
        yield from show("work on it", "ssh", name, "--", _WORK)
    yield from show("freeze one", "vm", "suspend", first)
    yield from show("its state", "vm", "status", both, *on)
    yield from show("let it go on", "vm", "resume", first)
    yield from show("it continues where it was", "ssh", first, "--", "uptime")
    if keep:
        yield f"\nKept: {both}. Delete them with: cms vm delete {both}"
        return
    yield from show("both go away with their disks", "vm", "delete", first, second, "--yes")
    yield from show("nothing is left behind", "sweep", "--cloud", show.cloud)
    yield "\nThat was the demo. Next: cms vm boot, cms --help"


class _Show:
    """Runs `cms` commands as a person would, each printed before it runs."""

    def __init__(self, ctx: Context, cloud: str) -> None:
        self.cloud = cloud
        self.local = ctx.config.cloud(cloud).kind == "libvirt"
        self.label = secrets.token_hex(4)
        self.base = "demo"
        self.names = free_names(ctx, self.base, 2)

    def __call__(self, comment: str, *words: str) -> Iterator[str]:
        """Yield the command line and then what it prints. Raises: Interrupted, NotReady (it failed)."""
        import shlex
        import subprocess

        yield f"\n$ cms {shlex.join(words)}    # {comment}"
        with subprocess.Popen(
            self._line(words), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None  # noqa: S101 (a pipe was asked for)
            for line in process.stdout:
                yield line.rstrip("\n")
        if process.returncode == Interrupted.exit_code:
            raise KeyboardInterrupt
        if process.returncode:
            raise NotReady(
                f"the demo ended early: cms {words[0]} {words[1]} exited with {process.returncode}",
                hint="cms doctor --fix",
            )

    def quietly(self, *words: str) -> None:
        """Run a clean-up command whatever its outcome, unmoved by further Ctrl-C."""
        import signal
        import subprocess

        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        with contextlib.suppress(OSError):
            subprocess.run(self._line(words), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False)
        signal.signal(signal.SIGINT, before)

    @staticmethod
    def _line(words: tuple[str, ...]) -> list[str]:
        return [sys.executable, "-m", "cloudms", *words]
