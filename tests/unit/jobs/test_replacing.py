"""How many nodes are booted in place of others, and when."""

from __future__ import annotations

import pytest

from cloudms.clock import backoff
from cloudms.jobs.replacing import TRIES, Need, came, need
from cloudms.model import Operation, Step


def boot(*states: str, ended: float = 1000.0, code: str = "no_capacity") -> Operation:
    """Return the operation of a boot by the states of its steps."""
    error = {"code": code, "message": "full"}
    steps = [
        Step(action="vm.boot", cloud="one", target=f"n{number}", state=state, error=None if state == "done" else error)
        for number, state in enumerate(states)
    ]
    return Operation(name="op-1", verb="vm boot", steps=tuple(steps), ended=ended)


WHOLE = boot("done", "done", "done")


@pytest.mark.parametrize(("vain", "seconds"), [(0, 0), (1, 60), (2, 120), (3, 240), (4, 480), (5, 900), (2000, 900)])
def test_pauses_grow_to_a_quarter_of_an_hour(vain: int, seconds: float) -> None:
    assert backoff(vain) == seconds


def test_who_is_lost_is_replaced_at_once_and_no_more_than_tasks_wait() -> None:
    assert need(3, 3, 9, [WHOLE]) == Need()
    assert need(3, 1, 9, [WHOLE]) == Need(count=2)
    assert need(3, 1, 1, [WHOLE]) == Need(count=1)
    assert need(3, 1, 0, [WHOLE]) == Need()
    assert need(3, 0, 9, []) == Need()


def test_as_many_are_replaced_as_there_were_to_be() -> None:
    boots = [WHOLE, boot("done", "done")]
    assert came(boots) == 5
    assert need(3, 0, 9, boots) == Need(count=1)
    assert need(3, 0, 9, [*boots, boot("done")]) == Need()


def test_what_did_not_come_is_waited_for_longer_each_time_and_is_no_replacement() -> None:
    boots = [boot("done", "failed", "failed")]
    assert need(3, 1, 9, boots) == Need(count=2, due=1060.0, why="full")
    boots.append(boot("failed", "failed", ended=2000.0))
    assert need(3, 1, 9, boots) == Need(count=2, due=2120.0, why="full")
    assert need(3, 3, 9, [*boots, boot("done", "done", ended=3000.0)]) == Need()
    assert need(3, 2, 9, [*boots, boot("done", "done", ended=3000.0)]) == Need(count=1)
    assert need(3, 1, 9, [*boots, *[boot("failed")] * (TRIES - 2)]) == Need()


@pytest.mark.parametrize("code", ["denied", "invalid", "not_found", "cancelled"])
def test_what_more_tries_do_not_mend_is_not_tried_again(code: str) -> None:
    assert need(3, 1, 9, [boot("done", "failed", "failed", code=code)]) == Need()


def test_a_boot_that_could_not_be_planned_counts_as_one_in_vain() -> None:
    refused = [(1500.0, "over a ceiling"), (1700.0, "over a ceiling")]
    assert need(3, 1, 9, [WHOLE], refused) == Need(count=2, due=1820.0, why="over a ceiling")
    assert need(3, 1, 9, [WHOLE], refused * TRIES) == Need()
