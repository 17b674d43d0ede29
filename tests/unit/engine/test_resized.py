"""What the record of a VM keeps of a resize, by what its cloud says next."""

from __future__ import annotations

import pytest

from cloudms.engine import resized
from cloudms.engine.refresh import merged
from cloudms.model import Vm, VmState

RUNNING, RESIZING, WAITS, ERROR = VmState.RUNNING, VmState.RESIZING, VmState.AWAITING_CONFIRM, VmState.ERROR
STOPPED, PENDING, UNKNOWN = VmState.STOPPED, VmState.PENDING, VmState.UNKNOWN


def vm(state: VmState, flavor: str, old: str = "", by: float | None = None) -> Vm:
    """Return a VM in a state, with the flavor it had before."""
    return Vm(name="web", cloud="c", id="1", token="t", state=state, flavor=flavor, resized_from=old, confirm_by=by)


@pytest.mark.parametrize(
    ("stored", "seen", "kept"),
    [
        (vm(RESIZING, "a", "a", 9.0), vm(RESIZING, "a"), ("a", 9.0)),
        (vm(RESIZING, "a", "a", 9.0), vm(WAITS, "b"), ("a", 9.0)),
        (vm(RESIZING, "a", "a"), vm(RUNNING, "b"), ("a", None)),
        (vm(RESIZING, "a", "a"), vm(PENDING, "a"), ("a", None)),  # it does not say yet what it was told
        (vm(RESIZING, "a", "a"), vm(RUNNING, "a"), ("", None)),  # it was refused
        (vm(RESIZING, "a", "a", 9.0), vm(ERROR, "a"), ("a", 9.0)),
        (vm(WAITS, "b", "a", 9.0), vm(WAITS, "b"), ("a", 9.0)),
        (vm(WAITS, "b", "a", 9.0), vm(UNKNOWN, ""), ("a", 9.0)),
        (vm(WAITS, "b", "a", 9.0), vm(RUNNING, "b"), ("", None)),  # confirmed elsewhere
        (vm(WAITS, "b", "a", 9.0), vm(RUNNING, "a"), ("", None)),  # reverted elsewhere
        (vm(WAITS, "b", "a", 9.0), vm(STOPPED, ""), ("", None)),
        (vm(RUNNING, "b", "a"), vm(STOPPED, "b"), ("a", None)),
        (vm(RUNNING, "b", "a"), vm(RUNNING, ""), ("a", None)),
        (vm(RUNNING, "b", "a"), vm(RUNNING, "a"), ("", None)),  # brought back elsewhere
        (vm(RUNNING, "b", "a"), vm(RUNNING, "c"), ("", None)),  # given a third one elsewhere
        (vm(RUNNING, "a"), vm(WAITS, "b"), ("", None)),  # resized elsewhere, and nobody knows from what
        (vm(RUNNING, "a"), vm(WAITS, "b", "a"), ("a", None)),
        (vm(RUNNING, "b"), vm(RUNNING, "b", "a"), ("", None)),
    ],
)
def test_what_is_kept(stored: Vm, seen: Vm, kept: tuple[str, float | None]) -> None:
    found = merged(stored, seen, 100.0)
    assert (found.resized_from, found.confirm_by) == kept


def test_what_waits_says_so_whoever_resized_it() -> None:
    assert merged(None, vm(WAITS, "b"), 0.0).reason == "resized: cms vm confirm web or cms vm revert web"
    by = vm(WAITS, "b", "a", 86400.0)
    assert resized.told(by).reason.endswith("from a: cms vm confirm web or cms vm revert web by 1970-01-02T00:00:00Z")
    assert resized.told(vm(RUNNING, "b", "a")).reason == ""


def test_what_can_be_decided() -> None:
    assert [resized.undecided(each) for each in (vm(WAITS, "b"), vm(RUNNING, "b", "a"))] == [True, True]
    assert [resized.undecided(each) for each in (vm(RUNNING, "a", "a"), vm(RUNNING, "a"))] == [False, False]
