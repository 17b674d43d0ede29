"""Watch real virtual machines boot, work and go away again."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from cloudms import names as naming
from cloudms.context import Context
from cloudms.engine.reserve import free_names
from cloudms.errors import CloudmsError, Interrupted, NotReady
from cloudms.verb import LOCAL, Doc, Names, Title, verb

if TYPE_CHECKING:
    from subprocess import Popen

_ENDS_S = 10.0
"""Seconds a command has to end after Ctrl-C, which reached it as well."""
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
    except GeneratorExit:
        show.clean_up()
        raise
    except (KeyboardInterrupt, CloudmsError) as error:
        try:
            yield "\nthe demo stops; what it made is deleted ..."
        finally:
            clean = show.clean_up()
        raise _told(error, "" if clean else show.label) from None


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


def _told(error: KeyboardInterrupt | CloudmsError, left: str) -> CloudmsError:
    """Return the error that ends the demo; its hint deletes what is `left`, the label's value, if anything is."""
    if not isinstance(error, CloudmsError):
        error = Interrupted("the demo was stopped; nothing of it is left", hint="cms demo shows it again")
    if left:
        error.message = error.message.partition(";")[0]
        error.hint = f"not all could be deleted: cms vm delete --label demo={left}, then cms sweep"
    return error


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
    yield from show("work on the first, with your own ssh", "ssh", first, "--", _WORK)
    yield from show("and on the second", "ssh", second, "--", _WORK)
    yield from show("freeze the first, with its memory", "vm", "suspend", first)
    yield from show("one is frozen, one runs", "vm", "status", both, *on)
    yield from show("let it go on", "vm", "resume", first)
    yield from show("it continues where it was", "ssh", first, "--", "uptime")
    if keep:
        yield f"\nKept: {both}. Delete them with: cms vm delete {both}"
        return
    yield from show("both go away with their disks", "vm", "delete", first, second, "--yes")
    yield from show("nothing is left behind", "sweep", "--cloud", show.cloud)
    yield "\nThat was the demo. Next: cms vm boot micro, cms --help"


class _Show:
    """Runs `cms` commands as a person would, each printed before it runs."""

    def __init__(self, ctx: Context, cloud: str) -> None:
        self.cloud = cloud
        self._terminal = ctx.terminal
        self.local = ctx.config.cloud(cloud).kind == "libvirt"
        self.label = secrets.token_hex(4)
        self.base = "demo"
        self.names = free_names(ctx, self.base, 2)

    def __call__(self, comment: str, *words: str) -> Iterator[str]:
        """Yield what comes, the command line, and what it prints. Raises: KeyboardInterrupt, NotReady (it failed)."""
        import shlex
        import signal
        import subprocess

        yield f"\n# {comment}"
        yield Title(f"$ cms {shlex.join(words)}")
        out = None if self._terminal else subprocess.PIPE
        before = signal.pthread_sigmask(
            signal.SIG_BLOCK, (signal.SIGINT,)
        )  # until `cms` can take it without a traceback
        try:
            with subprocess.Popen(self._line(words), stdin=subprocess.DEVNULL, stdout=out, text=True) as process:
                yield from _followed(process, before)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if process.returncode == Interrupted.exit_code:
            raise KeyboardInterrupt
        if process.returncode:
            raise NotReady(
                f"the demo ended early: cms {words[0]} {words[1]} exited with {process.returncode}",
                hint="cms doctor --fix",
            )

    def clean_up(self) -> bool:
        """Delete what was made so far; whether that went well."""
        gone = self._quietly("vm", "delete", "--label", f"demo={self.label}", "--missing-ok", "--yes", "--quiet")
        return self._quietly("sweep", "--cloud", self.cloud, "--apply", "--yes", "--quiet") and gone

    def _quietly(self, *words: str) -> bool:
        """Run a clean-up command, unmoved by further Ctrl-C; whether it went well."""
        import signal
        import subprocess

        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            done = subprocess.run(
                self._line(words),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                check=False,
                start_new_session=True,
            )
        except OSError:
            return False
        finally:
            signal.signal(signal.SIGINT, before)
        return done.returncode == 0

    @staticmethod
    def _line(words: tuple[str, ...]) -> list[str]:
        return [sys.executable, "-m", "cloudms", *words]


def _followed(process: Popen[str], mask: set[int]) -> Iterator[str]:
    """Yield what a command prints until it has ended, with the signals of `mask` held back and no others."""
    import signal

    try:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for line in process.stdout or ():
            yield line.rstrip("\n")
        process.wait()
    except BaseException:
        _end(process)
        raise


def _end(process: Popen[str]) -> None:
    """Wait for a command that was stopped: cleaning up beside it would miss what it is just making."""
    from subprocess import TimeoutExpired

    try:
        process.wait(_ENDS_S)
    except TimeoutExpired:
        process.terminate()
        process.wait()
