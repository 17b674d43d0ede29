"""`cms run logs`: what the VMs of a run said, from its files, also while it goes on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from cloudms import names as naming
from cloudms.context import Context
from cloudms.engine import runs
from cloudms.engine.refresh import natural
from cloudms.errors import NotFound
from cloudms.model import OperationState, Run
from cloudms.verb import Doc, Short, verb
from cloudms.verbs.run.begin import On
from cloudms.verbs.run.look import OneRun

_LOOK_S = 0.5
_CHUNK = 1024 * 1024


@verb("run", "logs", streams=True, example="cms run logs last --on web2")
def logs(
    ctx: Context,
    name: OneRun = "last",
    *,
    on: On = None,
    follow: Annotated[bool, Doc("go on until the run has ended"), Short("f")] = False,
) -> Iterator[str]:
    """Show what the VMs of a run said, each line with the name of its VM.

    With --follow it goes on with what they say until the run has ended, whoever carries it out.
    """
    run = runs.find(ctx, name)
    wanted = {each for word in on or [] for each in naming.expand(word)}
    tails = _Tails(Path(run.folder), wanted)
    while True:
        run = runs.find(ctx, run.name)
        ended = run.state is not OperationState.RUNNING
        yield from tails.more(last=ended or not follow)
        if ended or not follow or ctx.stopping.is_set():
            break
        ctx.pause(_LOOK_S)
    _check(run, wanted, tails)


def _check(run: Run, wanted: set[str], tails: _Tails) -> None:
    unknown = sorted(wanted - tails.seen)
    if unknown:
        raise NotFound(
            f"{naming.compress(unknown)} said nothing in {run.name}", hint=f"cms run info {run.name} shows its VMs"
        )


class _Tails:
    """The files of a run, each read on from where it was."""

    def __init__(self, folder: Path, wanted: set[str]) -> None:
        self.seen: set[str] = set()
        self._folder = folder
        self._wanted = wanted
        self._places: dict[Path, int] = {}
        self._begun: dict[Path, bytes] = {}

    def more(self, *, last: bool) -> Iterator[str]:
        """Yield the lines that have come; at the `last` time also what has no end."""
        for file in sorted(self._folder.glob("*"), key=lambda each: (natural(each.name), each.name)):
            host = file.name.rpartition(".")[0]
            if file.suffix in (".out", ".err") and (not self._wanted or host in self._wanted):
                self.seen.add(host)
                yield from self._lines(file, host, last=last)

    def _lines(self, file: Path, host: str, *, last: bool) -> Iterator[str]:
        with file.open("rb") as stream:
            stream.seek(self._places.get(file, 0))
            while chunk := stream.read(_CHUNK):
                *whole, rest = (self._begun.get(file, b"") + chunk).split(b"\n")
                self._begun[file] = rest
                yield from (f"{host}: {line.decode('utf-8', 'replace')}" for line in whole)
            self._places[file] = stream.tell()
        rest = self._begun.pop(file, b"") if last else b""
        if rest:
            yield f"{host}: {rest.decode('utf-8', 'replace')}"
