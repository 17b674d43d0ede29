"""Guards around any cloud: retry, rate limit, timing, dry run. No cloud does any of this itself.

`guard(cloud)` returns a stand-in that passes for the cloud (`isinstance` and roles included) and whose contract calls
are guarded:

- A retryable error (`NotReady`, `Throttled`) is tried again with growing, jittered pauses until the attempts or the
  deadline are used up. That is safe for every call, because the contract makes each of them idempotent (`create_vm` by
  token). All other errors are raised at once. So is a `NotReady` that waiting cannot change: one whose `details` name
  a `state` that does not end by itself, or say `retry: False`.
- `Throttled` holds back every call to this cloud for `details["retry_after"]` seconds (or the pause that is due).
- A list that breaks off is asked again and continues with the rows that had not come yet.
- `reach` is never tried again: it is asked in order to find out.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar, cast

from cloudms.clock import Clock
from cloudms.clouds.base import Cloud, Report, all_roles, silent
from cloudms.errors import CloudmsError, Invalid, NotReady, Throttled
from cloudms.model import VmState
from cloudms.record import Record

C = TypeVar("C", bound=Cloud)
T = TypeVar("T")

LISTS = frozenset(
    f"list_{word}"
    for word in (
        "vms",
        "images",
        "flavors",
        "snapshots",
        "keys",
        "locations",
        "addresses",
        "volumes",
        "volume_snapshots",
        "secgroups",
        "quotas",
    )
) | {"leftovers"}
"""Calls that return rows one after another."""

READS = LISTS | {
    "reach",
    "get_vm",
    "get_vms",
    "find_image",
    "find_flavor",
    "price",
    "thing_price",
    "ready",
    "half_made",
    "detached",
    "console_log",
    "metrics",
    "history",
    "image_queries",
    "walk_images",
}
"""Calls that change nothing; every other call of the contract counts as a change."""

_FREE = frozenset(("roles", "supports", "close", "follow_console"))
"""Methods of the contract that ask no cloud, or ask it through another one."""


_ROUNDING = 1e-6
"""Fewer seconds than this are none: a wait so short might not move a clock that counts from 1970."""


class Rules(Record):
    """How patient a guard is; times in seconds.

    `attempts` of a changing and `read_attempts` of a reading call; pauses begin at `first`, are multiplied by `factor`,
    end at `longest`, and are shortened at random by up to the part `jitter`; no attempt begins later than `deadline`
    after the first. `rate` is how many calls per second the cloud gets (0: any number), `burst` how many at once.
    """

    attempts: int = 5
    read_attempts: int = 3
    first: float = 0.5
    factor: float = 2.0
    longest: float = 30.0
    jitter: float = 0.5
    deadline: float = 120.0
    rate: float = 0.0
    burst: int = 10

    def pause(self, attempt: int, dice: float) -> float:
        """Return the seconds to wait after the failed `attempt` (counted from 1); `dice` is a number from 0 to 1."""
        whole = min(self.first * self.factor ** (attempt - 1), self.longest)
        return whole * (1 - self.jitter * dice)


class Timing(Record):
    """What a call has cost so far: how often it was tried, how often in vain, and the seconds it took."""

    tries: int = 0
    failures: int = 0
    seconds: float = 0.0
    longest: float = 0.0


class Gate:
    """The one place that the calls of all threads to one cloud pass: a rate limit and a pause that all keep."""

    def __init__(self, rules: Rules, clock: Clock) -> None:
        self._rules, self._clock = rules, clock
        self._lock = threading.Lock()
        self._tokens = float(rules.burst)
        self._filled = clock.monotonic()
        self._closed_until = 0.0

    def enter(self, latest: float, pause: Callable[[float], None]) -> None:
        """Wait for a turn with `pause`. Raises: Throttled when it would come after the monotonic time `latest`."""
        while (wait := self._turn()) > 0:
            if self._clock.monotonic() + wait > latest:
                raise Throttled(
                    f"the cloud wants to be left alone for {wait:.0f} s more",
                    hint="try again later",
                    details={"retry_after": wait},
                )
            pause(wait)

    def close(self, seconds: float) -> None:
        """Hold back everybody for `seconds`."""
        with self._lock:
            self._closed_until = max(self._closed_until, self._clock.monotonic() + seconds)

    def _turn(self) -> float:
        """Take a turn and return 0, or return the seconds until one may be free."""
        with self._lock:
            now = self._clock.monotonic()
            if now < self._closed_until - _ROUNDING:
                return self._closed_until - now
            if not self._rules.rate:
                return 0.0
            self._tokens = min(float(self._rules.burst), self._tokens + (now - self._filled) * self._rules.rate)
            self._filled = now
            missing = (1.0 - self._tokens) / self._rules.rate
            if missing > _ROUNDING:
                return missing
            self._tokens -= 1.0
            return 0.0


class Guarded:
    """The stand-in; made by `guard`."""

    def __init__(
        self,
        cloud: Cloud,
        rules: Rules,
        clock: Clock,
        report: Report,
        pause: Callable[[float], None],
        dice: Callable[[], float],
        dry_run: bool,
    ) -> None:
        self._cloud, self._rules, self._clock = cloud, rules, clock
        self._report, self._pause, self._dice, self._dry_run = report, pause, dice, dry_run
        self._gate = Gate(rules, clock)
        self._calls = contract_calls()
        self._lock = threading.Lock()
        self._timings: dict[str, Timing] = {}

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        """Pass for the cloud, so that `isinstance` sees its roles."""
        return type(self._cloud)

    def __repr__(self) -> str:
        """Name the cloud behind."""
        return f"<guarded {self._cloud!r}>"

    def __getattr__(self, name: str) -> Any:
        """Return the guarded call, or whatever else the cloud has; calls are made once."""
        found = getattr(self._cloud, name)
        if name not in self._calls:
            return found
        guarded = self._guarded(name, found)
        self.__dict__[name] = guarded
        return guarded

    def _guarded(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        if name not in READS and self._dry_run:
            return self._refusal(name)
        if name in LISTS:
            return lambda *args, **more: self._rows(name, lambda: method(*args, **more))
        return lambda *args, **more: self._insist(name, lambda: method(*args, **more), _Attempts(self, name))

    def _refusal(self, name: str) -> Callable[..., Any]:
        def refuse(*_args: object, **_more: object) -> None:
            raise Invalid(
                f"dry run: {name} of cloud '{self._cloud.name}' was not called",
                hint="leave out --dry-run",
                details={"cloud": self._cloud.name, "call": name, "dry_run": True},
            )

        return refuse

    def _insist(self, name: str, call: Callable[[], T], attempts: _Attempts) -> T:
        """Call until it succeeds, or until its error is not worth another attempt."""
        while True:
            try:
                self._gate.enter(attempts.latest, self._pause)
                return self._clocked(name, call, tries=1)
            except CloudmsError as error:
                attempts.failed(error)

    def _rows(self, name: str, call: Callable[[], Iterable[T]]) -> Iterator[T]:
        """Yield rows; after a failure begin again and leave out those that have been handed out."""
        attempts, given = _Attempts(self, name), set[object]()
        while True:
            skip, rows = frozenset(given), iter(self._insist(name, call, attempts))
            try:
                while (row := self._clocked(name, lambda rows=rows: next(rows, _END))) is not _END:  # type: ignore[misc]
                    mark = _mark(row)
                    given.add(mark)
                    if mark not in skip:
                        yield row
                return
            except CloudmsError as error:
                attempts.failed(error)

    def _clocked(self, name: str, call: Callable[[], T], tries: int = 0) -> T:
        """Call, and add what it cost to the record."""
        began, failures = self._clock.monotonic(), 1
        try:
            done = call()
            failures = 0
            return done
        except CloudmsError:
            raise
        except Exception as error:
            if is_ours(type(self._cloud)):
                raise
            raise blamed(self._cloud.name, type(self._cloud), name, error) from error
        finally:
            seconds = self._clock.monotonic() - began
            with self._lock:
                old = self._timings.get(name, Timing())
                self._timings[name] = Timing(
                    tries=old.tries + tries,
                    failures=old.failures + failures,
                    seconds=old.seconds + seconds,
                    longest=max(old.longest, seconds),
                )


class _Attempts:
    """The attempts of one call."""

    def __init__(self, guarded: Guarded, name: str) -> None:
        self._guarded, self._name, self._made = guarded, name, 0
        rules = guarded._rules
        self._most = 1 if name == "reach" else rules.read_attempts if name in READS else rules.attempts
        self.latest = guarded._clock.monotonic() + rules.deadline

    def failed(self, error: CloudmsError) -> None:
        """Wait until the next attempt is due, or raise `error` when there is none."""
        self._made += 1
        guarded = self._guarded
        wait = guarded._rules.pause(self._made, guarded._dice())
        if isinstance(error, Throttled):
            wait = max(wait, _seconds(error.details.get("retry_after")))
            guarded._gate.close(wait)
        if not worth_another(error) or self._made >= self._most or guarded._clock.monotonic() + wait > self.latest:
            raise error
        guarded._report(f"{error.message}; trying again in {wait:.1f} s ({self._made + 1} of {self._most})")
        guarded._pause(wait)


def guard(
    cloud: C,
    *,
    clock: Clock | None = None,
    report: Report = silent,
    rules: Rules | None = None,
    dry_run: bool = False,
    pause: Callable[[float], None] | None = None,
    dice: Callable[[], float] | None = None,
) -> C:
    """Return a stand-in for `cloud` whose contract calls are guarded.

    Parameters: `clock` and `pause` when they are not those of the cloud (`pause` may raise Interrupted); `report` hears
    of every further attempt; `rules` the patience, by default with `calls_per_second` from the cloud's settings;
    `dry_run` refuses changing calls with Invalid; `dice` returns numbers from 0 to 1.
    """
    time = clock or cloud.clock
    if rules is None:
        rules = Rules(rate=_seconds(cloud.setup.options.get("calls_per_second")))
    stand_in = Guarded(unguarded(cloud), rules, time, report, pause or time.sleep, dice or _random, dry_run)
    return cast("C", stand_in)


def beside(cloud: C, *, report: Report, pause: Callable[[float], None]) -> C:
    """Return another stand-in for a guarded cloud, for a second change that is stopped and reported on its own.

    Both keep the same pauses and the same record of costs. Parameters: `report` and `pause` as for `guard`.
    """
    own = vars(cloud)
    made = Guarded(own["_cloud"], own["_rules"], own["_clock"], report, pause, own["_dice"], own["_dry_run"])
    made.__dict__.update({name: own[name] for name in ("_gate", "_lock", "_timings")})
    return cast("C", made)


def is_ours(cls: type[Cloud]) -> bool:
    """Whether a cloud is built in; a bug in it is a bug of the house."""
    return cls.__module__.partition(".")[0] == "cloudms"


def blamed(cloud: str, cls: type[Cloud], what: str, error: Exception) -> CloudmsError:
    """Return the error for a bug in the cloud of a plug-in, which must not hide what other clouds have to say."""
    text = " ".join(f"{type(error).__name__}: {error}".split())[:200]
    return CloudmsError(
        f"cloud '{cloud}' has a bug in {cls.__module__}, {what}: {text}",
        hint="it comes from a plug-in: cms plugin list names them; report it to its authors",
    )


def unguarded(cloud: C) -> C:
    """Return the cloud behind its guard, or `cloud` itself when it has none."""
    behind: C = vars(cloud)["_cloud"] if _is_guarded(cloud) else cloud
    return behind


def timings(cloud: Cloud) -> dict[str, Timing]:
    """Return what each call of a guarded cloud has cost so far, by the name of the call."""
    return dict(vars(cloud)["_timings"]) if _is_guarded(cloud) else {}


def _is_guarded(thing: object) -> bool:
    return type(thing) is Guarded


def worth_another(error: CloudmsError) -> bool:
    """Whether the same call may succeed a little later."""
    if not error.retryable or error.details.get("retry") is False:
        return False
    state = error.details.get("state") if isinstance(error, NotReady) else None
    return state not in set(VmState) or VmState(state).transient


def contract_calls() -> frozenset[str]:
    """Return the names of all methods of the contract that ask the cloud."""
    owners = (Cloud, *all_roles())
    return (
        frozenset(
            name for owner in owners for name, member in vars(owner).items() if callable(member) and name[0] != "_"
        )
        - _FREE
    )


def _mark(row: object) -> object:
    """Return what tells one row of a list from the others."""
    return tuple(getattr(row, name, "") for name in ("kind", "id", "name", "vm"))


def _seconds(value: object) -> float:
    """Return a number of seconds that may have been sent as text, 0 when it is none."""
    try:
        return max(0.0, float(str(value)))
    except ValueError:
        return 0.0


def _random() -> float:
    """Return a number from 0 to 1 without the cost of importing `random`."""
    return int.from_bytes(os.urandom(4)) / 0xFFFFFFFF


_END: Any = object()
