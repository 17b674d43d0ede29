"""Lines of targets while a change runs: whose they are, where they go, and what they can do to a terminal."""

from __future__ import annotations

import io

import pytest

from cloudms.clock import ManualClock
from cloudms.doors.lines import Lines
from cloudms.doors.progress import Progress
from cloudms.doors.screen import Screen
from cloudms.errors import NoCapacity
from tests.unit.doors.test_progress import Terminal, screen_on


class Closed(io.StringIO):
    """A stream whose reader went away."""

    def write(self, _text: str) -> int:
        raise BrokenPipeError


class Full(io.StringIO):
    """A file on a full disk."""

    def write(self, _text: str) -> int:
        raise OSError(28, "No space left on device")


def lines(out: io.StringIO, err: io.StringIO, stopped: list[int] | None = None) -> Lines:
    screen = Screen()
    screen.out, screen.err = out, err
    return Lines(screen, Progress(screen, ManualClock()), lambda: (stopped if stopped is not None else []).append(1))


def test_each_line_has_its_target_and_goes_to_its_stream() -> None:
    out, err = io.StringIO(), io.StringIO()
    told = lines(out, err)
    told("web1", "stdout", "one\ntwo\n")
    told("web2", "stderr", "oh\n")
    told("web2", "stdout", "raw \x1b[2J\n")
    assert out.getvalue() == "web1: one\nweb1: two\nweb2: raw \x1b[2J\n"
    assert err.getvalue() == "web2: oh\n"


def test_nothing_steers_a_terminal_but_colours_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    out = Terminal()
    told = lines(out, io.StringIO())
    told("web1", "stdout", "\x1b[31mred\x1b[0m \x1b[2Jgone\x07\n10%\r50%\r100%\r\n")
    assert out.getvalue() == "web1: \x1b[31mred\x1b[0m \\x1b[2Jgone\\x07\x1b[0m\nweb1: 100%\n"


@pytest.mark.parametrize(("stream", "raised"), [(Closed, BrokenPipeError), (Full, NoCapacity)])
def test_when_nobody_can_read_them_what_runs_is_stopped(stream: type[io.StringIO], raised: type[BaseException]) -> None:
    stopped: list[int] = []
    told = lines(stream(), io.StringIO(), stopped)
    told("web1", "stdout", "one\n")
    told("web1", "stdout", "two\n")
    assert stopped == [1]
    with pytest.raises(raised):
        told.check()


def test_the_display_stands_below_them(clock: ManualClock, terminal: Terminal) -> None:
    screen = screen_on(terminal)
    screen.out = terminal
    progress = Progress(screen, clock)
    told = Lines(screen, progress, lambda: None)
    progress("web1", "running")
    told("web1", "stdout", "hello\n")
    assert terminal.seen[0].endswith("hello")
    progress("web2", "running")
    assert [line.split()[0] for line in terminal.seen[1:]] == ["web1", "web2"]
    progress.close()
    assert len(terminal.seen) == 1


def test_where_nothing_can_be_drawn_progress_may_be_silent(clock: ManualClock) -> None:
    stream = io.StringIO()
    progress = Progress(screen_on(stream), clock)
    progress.drawn_only = True
    progress("web1", "running")
    progress.close()
    assert stream.getvalue() == ""


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("TERM", "xterm")
    return Terminal()
