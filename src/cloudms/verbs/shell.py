"""The shell, and scripts of its commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cloudms.context import Context
from cloudms.verb import Doc, Door, Short, verb


@verb("shell", doors=("cli",), example='cms shell --command "cloud list; vm list --cached"')
def shell(
    ctx: Context,
    script: Annotated[Path | None, Doc("file with commands, or - for stdin; a prompt otherwise")] = None,
    arguments: Annotated[list[str], Doc("what $1, $2 … stand for in the script")] = [],  # noqa: B006 (never changed)
    *,
    command: Annotated[str | None, Doc("carry out this line instead"), Short("c")] = None,
    keep_going: Annotated[bool, Doc("go on after a line that fails"), Short("k")] = False,
) -> Door:
    """Start the shell, or carry out a script: the same commands, with completion, history and variables.

    `cms` alone on a terminal is the same; without a terminal it reads commands from stdin. A script is carried out by
    its name, too: cms lab.cms. It ends at the first line that fails, with the exit code of that line.
    """
    values = {"file": str(script or ""), "arguments": arguments, "line": command or "", "keep_going": keep_going}
    return Door(name="shell", values=values)
