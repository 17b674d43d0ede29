"""Progress: lines where nobody looks, a display where somebody does."""

from __future__ import annotations

import io
import json
import os
import re

import pytest

from cloudms.clock import ManualClock
from cloudms.doors.progress import Progress
from cloudms.doors.screen import Screen


class Terminal(io.StringIO):
    """A terminal of 80 columns that keeps what it was sent."""

    def isatty(self) -> bool:
        return True

    @property
    def seen(self) -> list[str]:
        """Return the lines that a person sees now."""
        lines: list[str] = [""]
        for part in re.split(r"(\x1b\[\d*[A-Z]|\n|\r)", re.sub(r"\x1b\[\d+m", "", self.getvalue())):
            if part == "\n":
                lines.append("")
            elif part.endswith("A") and part.startswith("\x1b"):
                lines = [*lines[: len(lines) - 1 - int(part[2:-1])], ""]
            elif part and not part.startswith("\x1b") and part != "\r":
                lines[-1] += part
        return [line for line in lines if line]


def screen_on(stream: io.StringIO, **options: bool) -> Screen:
    screen = Screen(**options)
    screen.err = stream
    return screen


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    return Terminal()


def test_elsewhere_a_line_per_change(clock: ManualClock) -> None:
    stream = io.StringIO()
    progress = Progress(screen_on(stream), clock)
    for text in ("creating", "creating", "boots", "failed: no room", "done"):
        progress("web1", text)
    progress("web2", "a\nb\x1b[2J")
    progress.close()
    assert stream.getvalue() == "web1: creating\nweb1: boots\nweb1: done\nweb2: a b\\x1b[2J\n"


def test_machines_get_an_object_per_line(clock: ManualClock, terminal: Terminal) -> None:
    screen = screen_on(terminal)
    screen.output = "json"
    Progress(screen, clock)("web1", "boots")
    assert json.loads(terminal.getvalue()) == {
        "kind": "progress",
        "message": "web1: boots",
        "target": "web1",
        "now": "boots",
    }


def test_quiet_says_nothing(clock: ManualClock, terminal: Terminal) -> None:
    progress = Progress(screen_on(terminal, quiet=True), clock)
    progress("web1", "boots")
    progress.close()
    assert terminal.getvalue() == ""


def test_a_terminal_shows_what_each_target_waits_for(clock: ManualClock, terminal: Terminal) -> None:
    progress = Progress(screen_on(terminal), clock)
    progress("web1", "creating")
    progress("db", "waits for SSH")
    clock.time += 75
    progress("web1", "boots")
    assert terminal.seen == ["  web1  boots", "  db    waits for SSH  1m"]
    progress("db", "done")
    assert terminal.seen == ["  web1  boots", "  1 done"]
    progress("x", "failed: no room")
    assert terminal.seen == ["  x     failed: no room", "  web1  boots", "  1 done"]
    progress.close()
    assert terminal.seen == []


def test_many_targets_do_not_draw_with_every_word(
    clock: ManualClock, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cloudms.doors.progress._TICK", 60.0)
    progress = Progress(screen_on(terminal), clock)
    written = []
    for number in range(200):
        progress(f"web{number}", "boots")
        written.append(len(terminal.getvalue()))
    assert written[60] == written[199]
    clock.sleep(1)
    progress("web0", "waits for SSH")
    assert any("web0  " in line and "waits" in line for line in terminal.seen)
    progress.close()


def test_a_small_terminal_shows_what_fits(
    clock: ManualClock, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Terminal, "fileno", lambda _: 99)
    monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((30, 6)))
    progress = Progress(screen_on(terminal), clock)
    for number in range(9):
        progress(f"web{number}", "waits for something that takes very long")
    seen = terminal.seen
    progress.close()
    assert len(seen) == 4
    assert seen[0] == "  web0  waits for something…"
    assert seen[-1] == "  6 more"
    assert max(map(len, seen)) <= 30


def test_a_terminal_that_goes_away_does_not_stop_the_work(clock: ManualClock, terminal: Terminal) -> None:
    progress = Progress(screen_on(terminal), clock)
    progress("web1", "creating")

    def gone(_text: str) -> int:
        raise OSError(5, "Input/output error")

    terminal.write = gone  # type: ignore[method-assign, assignment]
    progress("web1", "boots")
    progress.close()


def test_a_display_can_begin_again(clock: ManualClock, terminal: Terminal) -> None:
    progress = Progress(screen_on(terminal), clock)
    progress("web1", "one")
    progress.close()
    progress("web1", "one")
    assert terminal.seen == ["  web1  one"]
    progress.close()


def test_without_a_word_nothing_is_drawn(clock: ManualClock, terminal: Terminal) -> None:
    Progress(screen_on(terminal), clock).close()
    assert terminal.getvalue() == ""
