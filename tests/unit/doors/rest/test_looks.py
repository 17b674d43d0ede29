"""Lists that are kept for the pages to come."""

from __future__ import annotations

from cloudms.clock import ManualClock
from cloudms.doors.rest.looks import Looks
from cloudms.engine.plan import Listing
from cloudms.model import Vm


def listing(count: int = 3) -> Listing:
    return Listing(items=tuple(Vm(name=f"web-{number}") for number in range(count)))


def test_a_look_is_for_its_own_question_and_for_a_short_time(clock: ManualClock) -> None:
    looks = Looks(clock)
    name = looks.keep("/v1/vm/list", {"state": "running"}, listing())
    assert looks.find(name, "/v1/vm/list", {"state": "running"}) == listing()
    assert looks.find(name, "/v1/vm/list", {}) is None
    assert looks.find(name, "/v1/key/list", {"state": "running"}) is None
    assert looks.find("other", "/v1/vm/list", {"state": "running"}) is None
    clock.sleep(121)
    assert looks.find(name, "/v1/vm/list", {"state": "running"}) is None


def test_only_so_many_are_kept(clock: ManualClock) -> None:
    looks = Looks(clock)
    names = [looks.keep("/v1/vm/list", {}, listing()) for _ in range(20)]
    assert [looks.find(name, "/v1/vm/list", {}) is not None for name in names] == [False] * 4 + [True] * 16


def test_only_so_much_is_kept(clock: ManualClock) -> None:
    looks = Looks(clock)
    large = Listing(items=(Vm(name="web"),) * 150_000)
    names = [looks.keep("/v1/image/list", {}, large) for _ in range(3)]
    assert [looks.find(name, "/v1/image/list", {}) is not None for name in names] == [False, True, True]
