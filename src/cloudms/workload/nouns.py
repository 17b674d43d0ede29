"""What a load and its ledger are told as: rows of numbers, and a verdict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from cloudms.model import Noun


class LoadRow(Noun):
    """What came of a load in the `seconds` before the moment that `name` says, or (`total`) in all.

    `rate` requests per second were asked for and `sent` were due; `answered` and `failed` ended then, `retries` are
    tries that brought no answer, `open` requests had none yet. `p50`, `p95`, `p99` and `slowest` are seconds until the
    answer, counted from when the request was due; `members` says who answered how many, `reasons` what went wrong.
    `ledger` is the verdict of the ledger, in the row of all.
    """

    kind: ClassVar[str] = "load"
    columns: ClassVar[tuple[str, ...]] = (
        "name", "rate", "sent", "answered", "failed", "retries", "open", "p50", "p95", "p99", "slowest",
    )  # fmt: skip

    seconds: float = 0.0
    rate: float | None = None
    sent: int = 0
    answered: int = 0
    failed: int = 0
    retries: int = 0
    open: int = 0
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    slowest: float | None = None
    members: Mapping[str, int] = {}
    reasons: Mapping[str, int] = {}
    ledger: Mapping[str, Any] = {}


class Verdict(Noun):
    """What a ledger proves of a load, by the ids of its requests; `name` is the load's.

    `sent` requests were `answered`, given up (`failed`) or have no end (`lost`); `doubled` ones were answered more than
    once. Compared with the store (`stored` answers, None: not asked): `missing` were answered and are not there,
    `different` were answered otherwise than stored, `unknown` are stored and were never sent, `wrong` have a hash that
    is not their plate's (of so many `verified`). `repeated` counts requests whose work was done more than once, which
    is allowed: work at least once, stored and answered once. `good` is whether every request was answered exactly once.
    """

    kind: ClassVar[str] = "ledger"
    columns: ClassVar[tuple[str, ...]] = (
        "name", "good", "sent", "answered", "failed", "lost", "doubled", "stored", "missing", "different", "unknown",
        "wrong", "verified", "repeated",
    )  # fmt: skip

    good: bool = False
    sent: int = 0
    answered: int = 0
    failed: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    doubled: tuple[str, ...] = ()
    stored: int | None = None
    missing: tuple[str, ...] = ()
    different: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()
    verified: int = 0
    repeated: int = 0
    members: Mapping[str, int] = {}
