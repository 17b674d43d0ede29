"""Watch real virtual machines boot, work and go away again."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

from cloudms import names as naming
from cloudms.context import Context
from cloudms.engine.reserve import free_names
from cloudms.errors import CloudmsError, Interrupted, Invalid, NotFound, NotReady
from cloudms.verb import LOCAL, Doc, Names, Title, verb

if TYPE_CHECKING:
    from subprocess import Popen

_ENDS_S = 10.0
"""Seconds a command has to end after Ctrl-C, which reached it as well."""
_BASE = "demo"
_WORK = 'hostname; python3 -c "print(sum(i * i for i in range(10**5)))"'


@verb("demo", streams=True, doors=LOCAL, example="cms demo --keep")
def demo(
    ctx: Context,
    *,
    keep: Annotated[bool, Doc("keep the VMs")] = False,
    yes: Annotated[bool, Doc("do not ask whether it may cost money")] = False,
    cloud: Annotated[str | None, Doc("cloud to show it on"), Names("cloud")] = None,
) -> Iterator[str]:
    """Boot two VMs, work on them, suspend and resume one, and delete both, showing every command.

    Where this machine cannot run VMs, the same steps are shown on the fake cloud. On AWS two VMs are booted, listed,
    stopped, resized, started and deleted: in the account, with --yes, or without one on a pretended AWS of the demo's.
    """
    if _is_aws(ctx, cloud or ""):
        yield from _on_aws(ctx, cloud or "", keep=keep, yes=yes)
        return
    where, why = _place(ctx, cloud or "")
    if why:
        yield why
    show = Show(ctx.terminal, where, free_names(ctx, _BASE, 2), local=ctx.config.cloud(where).kind == "libvirt")
    yield from _shown(show, _steps(show, keep=keep))


def _shown(show: Show, steps: Iterator[str]) -> Iterator[str]:
    """Yield the steps, and delete what they made when they do not come to their end."""
    try:
        yield from steps
    except GeneratorExit:
        show.clean_up()
        raise
    except (KeyboardInterrupt, CloudmsError) as error:
        try:
            yield "\nthe demo stops; what it made is deleted ..."
        finally:
            clean = show.clean_up()
        raise _told(error, "" if clean else show.label) from None


def _is_aws(ctx: Context, cloud: str) -> bool:
    """Whether AWS is meant: a configured cloud of that kind, or the word."""
    try:
        return ctx.config.cloud(cloud).kind == "aws" if cloud else False
    except NotFound:
        return cloud == "aws"


def _on_aws(ctx: Context, cloud: str, *, keep: bool, yes: bool) -> Iterator[str]:
    """Show it in the account, or on a pretended AWS. Raises: Invalid (--yes is missing, or nothing can be kept)."""
    why = _without_account(ctx, cloud)
    if not why:
        if not yes:
            raise Invalid(
                f"the demo boots two VMs in the account of '{cloud}', which costs about a cent",
                hint=f"cms demo --cloud {cloud} --yes, or set no credentials to see it on a pretended AWS",
            )
        yield f"NOTE: what follows happens in the account of '{cloud}' and costs about a cent; the VMs end in 2 h."
        show = Show(ctx.terminal, cloud, free_names(ctx, _BASE, 2))
        yield from _shown(show, _aws_steps(show, keep=keep))
        return
    if keep:
        raise Invalid("a pretended AWS ends with the demo: there is nothing to keep", hint="cms demo --cloud aws")
    yield f"NOTE: {why}; this shows a PRETENDED AWS that the demo starts on this machine: it costs nothing,"
    yield "and its VMs are records only, so that nobody can log in."
    yield from _pretended(ctx)


def _without_account(ctx: Context, cloud: str) -> str:
    """Return why the account cannot be used, or an empty string when it can."""
    try:
        ctx.cloud(cloud).reach()
    except CloudmsError as error:
        return error.message
    return ""


def _pretended(ctx: Context) -> Iterator[str]:
    """Show it on an AWS of our own, with a configuration and a catalog of its own."""
    import json
    import tempfile
    from pathlib import Path

    from cloudms.clouds.aws.emulator import Emulator

    with tempfile.TemporaryDirectory(prefix="cms-demo-") as folder, Emulator(ctx.clock) as emulator:
        clouds = {"aws": emulator.settings(), "local": {"cm": {"kind": "libvirt", "active": False}}}
        file = Path(folder) / "cloudmesh.yaml"
        file.touch(mode=0o600)
        file.write_text(json.dumps({"cloudmesh": {"default": {"cloud": "aws"}, "cloud": clouds}}))
        show = Show(ctx.terminal, "aws", [f"{_BASE}-1", f"{_BASE}-2"], folder=folder)
        yield from _shown(show, _aws_steps(show, keep=False))


def _aws_steps(show: Show, *, keep: bool) -> Iterator[str]:
    first, second = show.names
    both, on = naming.compress(show.names), ("--cloud", show.cloud)
    yield from show(
        "two VMs with one request",
        "vm", "boot", "al2023", "--name", show.base, "--count", "2", "--flavor", "t3.micro", "--ttl", "2h",
        "--label", f"demo={show.label}", *on,
    )  # fmt: skip
    yield from show("what there is", "vm", "list", both, *on)
    yield from show("switch the first off", "vm", "stop", first)
    yield from show("give it another flavor", "vm", "resize", first, "t3.small")
    yield from show("and power", "vm", "start", first)
    yield from show("they differ now", "vm", "list", both, *on)
    if keep:
        yield f"\nKept, for two hours: {both}. Delete them with: cms vm delete {both}"
        return
    yield from show("both go away with their disks", "vm", "delete", first, second, "--yes")
    yield from show("nothing is left behind", "sweep", *on)
    yield "\nThat was the demo. Next: cms vm boot --help, cms --help"


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


def _steps(show: Show, *, keep: bool) -> Iterator[str]:
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


class Show:
    """Runs `cms` commands as a person would, each printed before it runs."""

    def __init__(self, terminal: bool, cloud: str, names: list[str], *, local: bool = False, folder: str = "") -> None:
        self.cloud = cloud
        self._terminal = terminal
        self.local = local
        self.label = secrets.token_hex(4)
        self.base = _BASE
        self.names = names
        self._folder = folder

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
            with subprocess.Popen(
                self.line(words), stdin=subprocess.DEVNULL, stdout=out, text=True, env=self.env()
            ) as process:
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
        gone = self.quietly("vm", "delete", "--label", f"demo={self.label}", "--missing-ok", "--yes", "--quiet")
        return self.quietly("sweep", "--cloud", self.cloud, "--apply", "--yes", "--quiet") and gone

    def quietly(self, *words: str) -> bool:
        """Run a clean-up command, unmoved by further Ctrl-C; whether it went well."""
        import signal
        import subprocess

        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            done = subprocess.run(
                self.line(words),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                check=False,
                start_new_session=True,
                env=self.env(),
            )
        except OSError:
            return False
        finally:
            signal.signal(signal.SIGINT, before)
        return done.returncode == 0

    def env(self) -> dict[str, str] | None:
        """Return the environment of a command, with the configuration of a pretended cloud where it is one."""
        import os

        return {**os.environ, "CLOUDMESH_CONFIG_DIR": self._folder} if self._folder else None

    @staticmethod
    def line(words: Sequence[str]) -> list[str]:
        """Return the command line of a `cms` command."""
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
