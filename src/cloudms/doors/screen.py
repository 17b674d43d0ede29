"""The two streams of a command: results on stdout and nothing else; everything said about them on stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from typing import Any, TextIO

from cloudms.errors import CloudmsError, NoCapacity

_STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


class Screen:
    """Where a command writes.

    Parameters: `output`, the format of results (with json, what is said on stderr is one JSON object per line);
    `quiet`, say errors only; `debug`, show the traceback of a bug; `place`, the file and line of a script that errors
    are said to come from.
    """

    def __init__(self, *, output: str = "table", quiet: bool = False, debug: bool = False, place: str = "") -> None:
        self.output = output
        self.quiet = quiet
        self.debug = debug
        self.place = place
        self.out: TextIO | None = sys.stdout
        self.err: TextIO | None = sys.stderr
        for stream in (self.out, self.err):
            if stream is not None and hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")

    @property
    def json(self) -> bool:
        """Whether a machine reads both streams."""
        return self.output == "json"

    @property
    def live(self) -> bool:
        """Whether a display that redraws itself may stand on stderr."""
        return is_terminal(self.err) and not self.quiet and os.environ.get("TERM") != "dumb"

    def write(self, chunks: Iterable[str], *, follow: bool = False) -> None:
        """Write results; with `follow` each chunk is shown at once. Raises: BrokenPipeError, NoCapacity."""
        if self.out is None:
            return
        try:
            for chunk in chunks:
                self.out.write(chunk)
                if follow:
                    self.out.flush()
            self.out.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise NoCapacity(f"the output cannot be written: {error.strerror}", hint="look at its disk") from None

    def say(self, text: str, *, kind: str = "note", style: str = "", **facts: Any) -> None:
        """Tell the person something beside the result, unless they asked for quiet."""
        if not self.quiet:
            self._tell({"kind": kind, "message": text, **facts}, paint(text, style, self.err))

    def warn(self, text: str) -> None:
        """Tell of something that is not as it should be."""
        if not self.quiet:
            self._tell({"kind": "warning", "message": text}, f"{paint('warning:', 'yellow', self.err)} {plain(text)}")

    def error(self, error: CloudmsError | Mapping[str, Any], **facts: Any) -> None:
        """Show an error, or the public form of one: a line and its hint, or one JSON line; `facts` say of what."""
        public = {**(error.to_public() if isinstance(error, CloudmsError) else error), **facts}
        if self.place:
            public["place"] = self.place
        about = "".join(f"{plain(str(public[key]))}: " for key in ("place", "cloud", "target") if public.get(key))
        text = f"{paint('error:', 'red', self.err)} {about}{plain(str(public['message']))}"
        if public.get("hint"):
            text += f"\n{paint('hint:', 'cyan', self.err)}  {plain(str(public['hint']))}"
        self._tell(public, text)

    def _tell(self, public: Mapping[str, Any], text: str) -> None:
        if self.err is None:
            return
        if self.json:
            import json

            text = json.dumps(public, ensure_ascii=not is_utf8(self.err), default=str)
        try:
            self.err.write(text + "\n")
            self.err.flush()
        except OSError:
            return  # nobody listens; the exit code still tells


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a person looks at `stream`."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:
        return False


def is_utf8(stream: TextIO | None) -> bool:
    """Whether every character can be written to `stream`."""
    return (getattr(stream, "encoding", "") or "").lower().replace("-", "") == "utf8"


def has_color(stream: TextIO | None) -> bool:
    """Whether `stream` shows colours: a terminal, unless NO_COLOR (no-color.org) or TERM=dumb says otherwise."""
    return is_terminal(stream) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, style: str, stream: TextIO | None) -> str:
    """Return `text` in a style (bold, dim, red …) when `stream` shows colours."""
    return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if style and text and has_color(stream) else text


def plain(text: str) -> str:
    """Return `text` in one line without control characters: a cloud's words must not steer the terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else " " if c in "\n\t" else f"\\x{ord(c):02x}" for c in text)


def width(stream: TextIO | None) -> int | None:
    """Return the columns of the terminal behind `stream`, or None when it is a pipe or a file."""
    if not is_terminal(stream) or stream is None:
        return None
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return 80
