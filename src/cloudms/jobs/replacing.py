"""Nodes in place of those that were lost or did not come: how many, when, and how often.

As many come in place of lost ones, all in all, as the experiment was to have nodes. After a boot in which nodes did not
come the next one waits, each time twice as long, and after some of them in a row there is none any more.
"""

from __future__ import annotations

from collections.abc import Sequence

from cloudms.clock import backoff, iso
from cloudms.errors import NoCapacity, NotReady, Throttled, Timeout
from cloudms.model import Operation
from cloudms.record import Record

_PASSING = frozenset(error.code for error in (NoCapacity, NotReady, Throttled, Timeout))
"""Errors of a boot that may be over when it is tried again."""


TRIES = 6
"""Boots in a row that lacked nodes, after which it is left at that."""


class Need(Record):
    """How many nodes are to be booted, not before `due` (epoch seconds), and `why` an earlier boot brought too few."""

    count: int = 0
    due: float = 0.0
    why: str = ""


def came(boots: Sequence[Operation]) -> int:
    """Return how many nodes have come, lost ones included."""
    return sum(step.state == "done" for boot in boots for step in boot.steps)


def need(
    size: int, there: int, unbegun: int, boots: Sequence[Operation], refused: Sequence[tuple[float, str]] = ()
) -> Need:
    """Return how many nodes are missing and may still come.

    Parameters: `size`, how many there are to be; `there`, those that were not lost; `unbegun`, tasks that nobody has
    begun; `boots`, what has ended of their booting, the oldest first; `refused`, when later boots could not even be
    planned, and why.
    """
    count = min(size - there, 2 * size - came(boots), unbegun)
    if count <= 0 or not boots:
        return Need()
    vain, problems = _vain(boots)
    if not vain and not refused:
        return Need(count=count)
    if vain + len(refused) >= TRIES or any(code not in _PASSING for code, _text in problems):
        return Need()
    at = max([boots[-1].ended or 0.0, *(when for when, _why in refused)])
    texts = [text for _code, text in problems] + [text for _when, text in refused[-1:]]
    return Need(count=count, due=at + backoff(vain + len(refused)), why="; ".join(dict.fromkeys(texts)))


def told(size: int, boots: Sequence[Operation], need: Need, now: float) -> tuple[str, int]:
    """Return how it stands in a sentence, and how many nodes were replaced, those included that are booted now."""
    missing = "1 node is missing" if need.count == 1 else f"{need.count} nodes are missing"
    if now < need.due:
        return f"{missing}: {need.why}; tried again at {iso(need.due)}", max(came(boots) - size, 0)
    replaced = max(came(boots) + need.count - size, 0)
    return f"{missing} and booted anew" + f", {replaced} of {size} that may be replaced" * bool(replaced), replaced


def _vain(boots: Sequence[Operation]) -> tuple[int, list[tuple[str, str]]]:
    """Return how many boots in a row, up to the last one, lacked nodes, and with what errors the last one did."""
    count = 0
    for boot in reversed(boots):
        if all(step.state == "done" for step in boot.steps):
            break
        count += 1
    failed = [step for step in boots[-1].steps if step.state != "done"]
    errors = [step.error or {"code": step.state, "message": f"its boot was {step.state}"} for step in failed]
    return count, [(str(error["code"]), str(error["message"])) for error in errors]
