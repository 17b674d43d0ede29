"""How far a long action on an image has come, told twice a second."""

from __future__ import annotations

from collections.abc import Callable

from cloudms import units
from cloudms.engine import Work
from cloudms.engine.vms import check_cancel
from cloudms.errors import Interrupted

_OFTEN = 0.5
"""Seconds between two reports."""


def reporter(work: Work, *, steps: bool = False) -> Callable[[int, int | None, str], None]:
    """Return what an image's long action tells its progress to: (done, total, what), in bytes or in `steps`.

    It reports at most twice a second, and lets `operation cancel` and Ctrl-C end the action (Interrupted).
    """
    clock = work.ctx.clock
    said, begun, first, now_at = 0.0, 0.0, 0, ""

    def tell(done: int, total: int | None, text: str) -> None:
        nonlocal said, begun, first, now_at
        now = clock.monotonic()
        if text == now_at and now - said < _OFTEN:
            return
        if text != now_at:
            begun, first, now_at = now, done, text
        said = now
        check_cancel(work)
        if work.ctx.stopping.is_set():
            raise Interrupted("stopped on request")
        if text != "done":
            work.report(_step(done, total, text) if steps else _amount(done, total, text, done - first, now - begun))

    return tell


def _step(done: int, total: int | None, text: str) -> str:
    return f"{text} ({done + 1} of {total})" if total else text


def _amount(done: int, total: int | None, text: str, fetched: int, seconds: float) -> str:
    """Return for instance: download 45% of 340 MiB, 12.3 MiB/s."""
    if not done:
        return text
    part = f"{100 * done // total}% of {units.size(total)}" if total else units.size(done)
    rate = f", {units.size(fetched / seconds)}/s" if seconds >= 1.0 and fetched > 0 else ""
    return f"{text} {part}{rate}"
