"""`cms vm console`: what the guest printed, also when SSH is dead."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from cloudms.clouds.base import Console, require
from cloudms.context import Context
from cloudms.engine.select import vm
from cloudms.errors import Invalid
from cloudms.verb import Doc, Short, verb
from cloudms.verbs.lists import CloudName
from cloudms.verbs.vm.names import OneVm


@verb("vm", "console", streams=True, example="cms vm console web1 --lines 40")
def console(
    ctx: Context,
    name: OneVm,
    *,
    lines: Annotated[int, Doc("how many lines from the end; 0 shows all that is kept"), Short("n")] = 0,
    follow: Annotated[bool, Doc("go on until Ctrl-C"), Short("f")] = False,
    cloud: CloudName = None,
) -> Iterator[str]:
    """Show the console output of a VM."""
    if lines < 0:
        raise Invalid(f"--lines {lines} is no number of lines", hint="for instance --lines 40")
    found = vm(ctx, name, cloud=cloud or "")
    opened = ctx.cloud(found.cloud)
    require(opened, Console, found)
    assert isinstance(opened, Console)  # noqa: S101 (`require` has made sure; this tells the type checker)
    if not follow:
        kept = opened.console_log(found).splitlines()
        yield from kept[-lines:] if lines else kept
        return
    unfinished = ""
    for text in opened.follow_console(found):
        *whole, unfinished = (unfinished + text).split("\n")
        yield from (line.rstrip("\r") for line in whole)
        if ctx.stopping.is_set():
            return
