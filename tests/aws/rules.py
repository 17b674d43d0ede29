"""The rules of the layer: what is checked before moto is asked, and what is set right in its answer."""

from __future__ import annotations

from collections.abc import Callable

from tests.aws.wire import Call, Reply
from tests.aws.world import World

Before = Callable[[World, Call], Reply | None]
After = Callable[[World, Call, Reply], Reply]

BEFORE: dict[str, list[Before]] = {}
AFTER: dict[str, list[After]] = {}


def before(*actions: str) -> Callable[[Before], Before]:
    """Mark a rule that may refuse a call, change it, or answer it."""

    def mark(rule: Before) -> Before:
        for action in actions:
            BEFORE.setdefault(action, []).append(rule)
        return rule

    return mark


def after(*actions: str) -> Callable[[After], After]:
    """Mark a rule that changes what moto did or says, when it says no error."""

    def mark(rule: After) -> After:
        for action in actions:
            AFTER.setdefault(action, []).insert(0, rule)
        return rule

    return mark
