"""The two streams: who may see colours, and what happens when nobody reads."""

from __future__ import annotations

import io
import os
from typing import Any

import pytest

from cloudms.doors import screen as streams
from cloudms.doors.screen import Screen, has_color, paint, plain, width
from cloudms.errors import Invalid, NoCapacity


class Terminal(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


class Failing(io.StringIO):
    """A stream that cannot be written."""

    def __init__(self, error: OSError) -> None:
        super().__init__()
        self.error = error

    def write(self, _text: str) -> int:
        raise self.error


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")


def on(out: Any = None, err: Any = None, **options: Any) -> Screen:
    screen = Screen(**options)
    screen.out, screen.err = out, err
    return screen


def test_colours_are_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    assert has_color(Terminal())
    assert not has_color(io.StringIO())
    assert not has_color(None)
    monkeypatch.setenv("NO_COLOR", "1")
    assert not has_color(Terminal())
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert not has_color(Terminal())
    assert not on(err=Terminal()).live


def test_an_empty_no_color_means_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "")
    assert paint("x", "red", Terminal()) == "\x1b[31mx\x1b[0m"
    assert paint("", "red", Terminal()) == ""


def test_control_characters_are_shown_not_obeyed() -> None:
    assert plain("a\nb\tc\x1b[2J\x7f") == "a b c\\x1b[2J\\x7f"
    assert plain("é漢") == "é漢"


def test_the_width_is_the_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    assert width(io.StringIO()) is None
    assert width(None) is None
    assert width(Terminal()) == 80
    monkeypatch.setattr(Terminal, "fileno", lambda _: 9)
    monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((123, 40)))
    assert width(Terminal()) == 123
    monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((0, 0)))
    assert width(Terminal()) == 80


def test_a_closed_stream_is_no_terminal() -> None:
    stream = Terminal()
    stream.isatty = lambda: (_ for _ in ()).throw(ValueError("closed"))  # type: ignore[method-assign]
    assert not streams.is_terminal(stream)


def test_nobody_to_write_to() -> None:
    screen = on()
    screen.write(["x"])
    screen.error(Invalid("no"))
    screen.say("x")
    assert not screen.live


def test_a_full_disk_is_an_error_of_ours() -> None:
    with pytest.raises(NoCapacity, match="No space left"):
        on(out=Failing(OSError(28, "No space left on device"))).write(["x"])


def test_a_reader_that_went_away_is_passed_on() -> None:
    with pytest.raises(BrokenPipeError):
        on(out=Failing(BrokenPipeError(32, "Broken pipe"))).write(["x"])


def test_a_lost_stderr_does_not_hide_the_result() -> None:
    out = io.StringIO()
    screen = on(out=out, err=Failing(OSError(5, "Input/output error")))
    screen.warn("x")
    screen.write(["result\n"])
    assert out.getvalue() == "result\n"


def test_an_error_names_cloud_and_target() -> None:
    err = io.StringIO()
    on(err=err).error(Invalid("no\nway", hint="try"), cloud="aws", target="web1")
    assert err.getvalue() == "error: aws: web1: no way\nhint:  try\n"


def test_an_error_without_a_hint_is_one_line() -> None:
    err = io.StringIO()
    on(err=err).error(Invalid("no"))
    assert err.getvalue() == "error: no\n"
