"""The commands of the shell itself; everything else is a command of the house."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from cloudms.doors.screen import Screen, is_terminal, paint
from cloudms.doors.shell import script
from cloudms.doors.shell.shell import Builtin, Leave, Shell
from cloudms.errors import Invalid, NotFound


def echo(shell: Shell, words: list[str], screen: Screen) -> int:
    """Print words."""
    end = "" if words[:1] == ["-n"] else "\n"
    screen.write([" ".join(words if end else words[1:]) + end])
    return 0


def banner(shell: Shell, words: list[str], screen: Screen) -> int:
    """Print words between two lines, to find a place in a long output again."""
    text = " ".join(words)
    rule = "#" * (len(text) + 4)
    screen.write([f"{rule}\n# {text} #\n{rule}\n"])
    return 0


def sleep(shell: Shell, words: list[str], screen: Screen) -> int:
    """Wait so many seconds; Ctrl-C ends it."""
    try:
        seconds = float(words[0]) if len(words) == 1 else -1.0
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 1e9:
        raise Invalid(f"'{' '.join(words)[:80]}' is no number of seconds", hint="for instance: sleep 1.5")
    shell.branch().pause(seconds)
    return 0


def pause(shell: Shell, words: list[str], screen: Screen) -> int:
    """Show words and wait for Enter; where nobody sits at a terminal, go on at once."""
    if is_terminal(sys.stdin) and screen.err is not None:
        screen.err.write(" ".join(words) + " [Enter]" if words else "[Enter]")
        screen.err.flush()
        sys.stdin.readline()
    return 0


def true(shell: Shell, words: list[str], screen: Screen) -> int:
    """Do nothing: COMMAND || true goes on after a failure."""
    return 0


def var(shell: Shell, words: list[str], screen: Screen) -> int:
    """Show the variables, or give them values (an empty one forgets it); they end with the shell."""
    own = shell.variables.own
    for word in words:
        name, equals, value = word.partition("=")
        if equals:
            shell.variables.put(name, value)
        elif name in own:
            screen.write([f"{own[name]}\n"])
        else:
            raise NotFound(f"the variable '{name[:80]}' has no value", hint=f"var {name[:80]}=VALUE gives it one")
    if not words:
        screen.write(f"{name}={value}\n" for name, value in sorted(own.items()))
    return 0


def history(shell: Shell, words: list[str], screen: Screen) -> int:
    """Show the last lines that were typed (25, or so many), or forget them all (clear)."""
    if words == ["clear"]:
        shell.history.clear()
        return 0
    if len(words) > 1 or (words and not _is_number(words[0])):
        raise Invalid(f"'{' '.join(words)[:80]}' is no number of lines", hint="for instance: history 50")
    entries = shell.history.entries()
    last = int(words[0]) if words else 25
    numbered = list(enumerate(entries, 1))[-last:] if last else []
    screen.write(f"{number:>5}  {entry}\n" for number, entry in numbered)
    return 0


def source(shell: Shell, words: list[str], screen: Screen) -> int:
    """Carry out a script here; what it sets stays."""
    if not words:
        raise Invalid("the script is missing", hint="for instance: source lab.cms")
    return script.run(shell, words[0], words[1:])


def cd(shell: Shell, words: list[str], screen: Screen) -> int:
    """Go to another folder, where names of files begin."""
    folder = Path(os.path.expanduser(words[0] if words else "~"))  # noqa: PTH111 (Path's fails for ~nobody)
    try:
        os.chdir(folder)
    except OSError as error:
        raise NotFound(f"{folder}: {error.strerror}", hint="!pwd shows where you are") from None
    return 0


def leave(shell: Shell, words: list[str], screen: Screen) -> int:
    """End the shell with the exit code of the last command, or with the given one."""
    if words and not (_is_number(words[0]) and int(words[0]) < 256):
        raise Invalid(f"'{words[0][:80]}' is no exit code", hint="it is a number from 0 to 255")
    raise Leave(int(words[0]) if words else shell.code)


def _is_number(word: str) -> bool:
    """Whether int() takes a word: not some digits of Unicode, and not thousands of any."""
    return word.isascii() and word.isdigit() and len(word) < 10


def help_(shell: Shell, words: list[str], screen: Screen) -> int:
    """Tell about all commands, a noun, or one command."""
    if words[:1] == ["cms"]:
        words = words[1:]
    if words and words[0] in BUILTINS and len(words) == 1:
        screen.write([f"{USAGE[words[0]]}\n\n  {_text(BUILTINS[words[0]])}\n"])
        return 0
    if not words:
        screen.write(line + "\n" for line in _own())
    return shell.house(["help", *words], screen)


def _own() -> Iterator[str]:
    """Yield what the shell adds to the commands of the house."""
    yield paint("Only in the shell", "bold", sys.stdout)
    size = max(map(len, USAGE.values()))
    for word, usage in USAGE.items():
        if word not in ("exit", "q"):
            yield f"  {usage:<{size}}  {_text(BUILTINS[word])}"
    yield f"  {'!COMMAND':<{size}}  Run a line of your own shell."
    yield ""


def _text(builtin: Builtin) -> str:
    return (builtin.__doc__ or "").strip()


BUILTINS: dict[str, Builtin] = {
    "help": help_,
    "var": var,
    "echo": echo,
    "banner": banner,
    "sleep": sleep,
    "pause": pause,
    "true": true,
    "source": source,
    "history": history,
    "cd": cd,
    "quit": leave,
    "exit": leave,
    "q": leave,
}
"""The commands by their word."""

USAGE = {
    "help": "help [WORDS], ? [WORDS]",
    "var": "var [NAME=VALUE ...]",
    "echo": "echo [-n] [WORDS]",
    "banner": "banner WORDS",
    "sleep": "sleep SECONDS",
    "pause": "pause [WORDS]",
    "true": "true",
    "source": "source FILE [ARGUMENTS]",
    "history": "history [N | clear]",
    "cd": "cd [FOLDER]",
    "quit": "quit [CODE], exit, q, Ctrl-D",
    "exit": "exit [CODE]",
    "q": "q [CODE]",
}
"""How each is called."""
