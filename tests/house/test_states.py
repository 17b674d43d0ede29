"""Every state of a VM has an end or a way out, and a text that says so."""

from __future__ import annotations

import pytest

from cloudms.model import DEADLINES, VmState
from tests.house.reference import members

STABLE = {
    "running",
    "stopped",
    "deallocated",
    "suspended",
    "saved",
    "awaiting_confirm",
    "terminated",
    "error",
    "unknown",
}
"""States that last until somebody changes them; all others are on their way to one of these."""


@pytest.mark.parametrize("state", VmState)
def test_a_state_that_must_end_has_a_deadline(state: VmState) -> None:
    assert state.transient == (state not in STABLE)
    assert (state.deadline is not None) == state.transient
    assert 60.0 <= DEADLINES.get(state, 60.0) <= 3600.0


def test_every_state_says_what_it_is() -> None:
    texts = dict(members(VmState))
    assert set(texts) == set(VmState)
    for state, text in texts.items():
        assert len(text) > 10
        assert text.endswith("."), state


@pytest.mark.parametrize("state", ["running", "stopped", "deallocated", "suspended", "saved", "error"])
def test_a_state_that_lasts_names_the_ways_out(state: str) -> None:
    assert "Way out:" in dict(members(VmState))[VmState(state)] or "Ways out:" in dict(members(VmState))[VmState(state)]
