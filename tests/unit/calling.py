"""Calling verbs by their words, as a door does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cloudms import registry
from cloudms.context import Context
from cloudms.engine import Plan, run

Call = Callable[..., Any]


def calling(ctx: Context) -> Call:
    """Return a function that calls a verb by its words and carries out its plan."""

    def do(words: str, *args: Any, dry_run: bool = False, **options: Any) -> Any:
        entry = registry.index().exact(words.split())
        assert entry, words
        own = {"dry_run": True} if dry_run and not entry.changes else {}
        result = entry.load().function(ctx, *args, **options, **own)
        return run(ctx, result) if isinstance(result, Plan) and not dry_run else result

    return do
