"""Every way a task can go, and the record that it leaves."""

from __future__ import annotations

import pytest

from cloudms.errors import Conflict
from cloudms.jobs import task as change
from cloudms.jobs.task import Ending
from cloudms.model import Task

FRESH = Task(name="exp/0001", experiment="exp", number=1, params={"rate": 0.1})
GOOD = Ending(exit=0, started=10.0, ended=14.5)
BAD = Ending(exit=3, started=10.0, ended=14.5)


def _running(task: Task = FRESH, node: str = "n1") -> Task:
    return change.begun(change.given(task, node, "local", 5.0), 10.0)


def test_a_task_goes_from_waiting_to_done() -> None:
    given = change.given(FRESH, "n1", "local", 5.0)
    assert (given.status, given.node, given.cloud, given.attempt) == ("starting", "n1", "local", 1)
    running = change.begun(given, 10.0)
    assert (running.status, running.started) == ("running", 10.0)
    done = change.ended(running, GOOD, 0, 0)
    assert (done.status, done.exit, done.seconds, done.reason) == ("done", 0, 4.5, "")
    record = {"attempt": 1, "node": "n1", "cloud": "local", "status": "done", "exit": 0, "seconds": 4.5}
    assert record.items() <= done.history[0].items()


def test_one_that_was_never_seen_to_run_may_have_ended_already() -> None:
    done = change.ended(change.given(FRESH, "n1", "local", 5.0), GOOD, 0, 0)
    assert (done.status, done.started, done.ended) == ("done", 10.0, 14.5)


def test_a_failure_is_tried_again_as_often_as_it_may() -> None:
    first = change.ended(_running(), BAD, 1, 0)
    assert (first.status, first.node, first.reason) == ("waiting", "", "exit code 3")
    second = change.ended(_running(first, "n2"), BAD, 1, 0)
    assert (second.status, second.node, second.attempt, second.reason) == ("failed", "n2", 2, "exit code 3")
    assert [(record["node"], record["status"]) for record in second.history] == [("n1", "failed"), ("n2", "failed")]


def test_a_timeout_is_a_try_and_is_told_as_one() -> None:
    late = change.ended(_running(), Ending(exit=143, signal="TERM", started=10, ended=70, cause="timeout"), 0, 9)
    assert (late.status, late.reason) == ("failed", "no end within its time (60 s)")
    assert late.history[0]["status"] == "timeout"


@pytest.mark.parametrize(
    ("ending", "reason"),
    [
        (Ending(exit=137, signal="KILL"), "ended by signal KILL"),
        (Ending(exit=2), "exit code 2"),
        (Ending(exit=0, problem="there is no output result.json"), "there is no output result.json"),
    ],
)
def test_the_reason_says_how_it_ended(ending: Ending, reason: str) -> None:
    assert change.ended(_running(), ending, 0, 0).reason == reason


def test_a_lost_node_is_a_move_and_no_try() -> None:
    moved = change.lost(_running(), "n1 was deleted", 20.0, 1)
    assert (moved.status, moved.node, moved.reason) == ("waiting", "", "n1 was deleted")
    again = change.lost(_running(moved, "n2"), "n2 does not answer", 30.0, 1)
    assert (again.status, again.reason) == ("failed", "n2 does not answer")
    assert [record["status"] for record in again.history] == ["lost", "lost"]


def test_what_had_not_begun_on_a_lost_node_loses_nothing() -> None:
    given = change.given(FRESH, "n1", "local", 5.0)
    back = change.lost(given, "n1 was deleted", 20.0, 0)
    assert (back.status, back.history[0]["status"]) == ("waiting", "returned")
    assert change.tries(back, "lost") == 0


def test_a_node_that_was_restarted_has_lost_the_task_that_ran() -> None:
    moved = change.ended(_running(), Ending(started=10.0, cause="restarted"), 0, 1)
    assert (moved.status, moved.history[0]["status"]) == ("waiting", "lost")
    assert "restarted" in moved.reason


def test_cancelling_ends_what_is_open_and_leaves_what_has_ended() -> None:
    assert change.cancelled(FRESH, 9.0).status == "cancelled"
    assert change.cancelled(_running(), 9.0).history[0]["status"] == "cancelled"
    done = change.ended(_running(), GOOD, 0, 0)
    assert change.cancelled(done, 20.0) == done


def test_a_failed_task_can_be_run_again_with_its_tries_counted_anew() -> None:
    failed = change.ended(_running(), BAD, 0, 0)
    fresh = change.again(failed)
    assert (fresh.status, fresh.attempt) == ("waiting", 1)
    later = change.ended(_running(fresh), BAD, 1, 0)
    assert later.status == "waiting"
    assert len(later.history) == 2


@pytest.mark.parametrize("status", ["waiting", "done", "failed", "cancelled"])
def test_what_no_node_has_cannot_end(status: str) -> None:
    with pytest.raises(Conflict, match=status):
        change.ended(FRESH.with_(status=status), GOOD, 0, 0)


def test_a_task_is_given_to_one_node_at_a_time() -> None:
    with pytest.raises(Conflict):
        change.given(_running(), "n2", "local", 6.0)
