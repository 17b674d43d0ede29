"""What a campaign returns.

A campaign does one thing many times and counts: a figure that a promise in the docs can name. It is a module here with

    DESCRIPTION = "One line: what is done each time, and what counts as passed"
    SMOKE = 3                        # how often a full test run does it

    def run(times: int) -> Figure: ...

and `./test campaign NAME --times N` runs it in a home of its own. It ends what it starts.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """How many times it went well, how many it did not, and what was measured, in a line."""

    passed: int
    failed: int
    text: str
