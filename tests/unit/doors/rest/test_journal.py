"""What is kept of the events of an operation, and for how long."""

from __future__ import annotations

from cloudms.doors.rest.journal import Journal, Journals
from cloudms.model import Operation, OperationState, Step


def operation(name: str = "op-1", count: int = 2) -> Operation:
    steps = tuple(Step(action="vm.stop", cloud="fake", target=f"web-{i}") for i in range(count))
    return Operation(name=name, verb="vm stop", steps=steps)


def test_the_state_has_the_steps_as_they_are_now() -> None:
    journal = Journal(operation())
    journal.step(1, journal._steps[1].with_(state="done"))
    assert [step["state"] for step in journal.now().data["steps"]] == ["waiting", "done"]
    assert journal.now().number == 1


def test_who_was_away_too_long_is_told_the_state_instead() -> None:
    journal = Journal(operation())
    for number in range(3000):
        journal.progress("web-0", str(number))
    assert journal.since(0) is None
    assert journal.since(999) is None
    assert [event.data["text"] for event in journal.since(2998) or []] == ["2998", "2999"]
    assert journal.since(3000) == []
    assert journal.since(3001) is None


def test_little_is_kept_after_the_end() -> None:
    journal = Journal(operation())
    for number in range(1500):
        journal.progress("web-0", str(number))
    journal.end(operation().with_(state=OperationState.DONE))
    assert journal.ended
    assert journal.since(1000) is None
    assert (journal.since(1500) or [])[0].name == "end"
    assert len(journal.since(1301) or []) == 200


def test_listeners_hear_until_they_leave() -> None:
    heard: list[int] = []
    journal = Journal(operation())

    def tell() -> None:
        heard.append(1)

    journal.listen(tell)
    journal.progress("web-0", "a")
    journal.leave(tell)
    journal.progress("web-0", "b")
    assert heard == [1]


def test_the_oldest_that_ended_are_forgotten_and_none_that_goes_on() -> None:
    journals = Journals()
    going = journals.open(operation("op-0"))
    for number in range(1, 80):
        journals.open(operation(f"op-{number}")).end(operation(f"op-{number}"))
    journals.open(operation("op-80"))
    assert journals.of("op-0") is going
    assert journals.of("op-1") is None
    assert journals.of("op-79") is not None


def test_of_much_output_the_last_part_is_kept() -> None:
    journal = Journal(operation())
    for number in range(100):
        journal.output("web-0", "stdout", f"{number}" + "x" * 50_000)
    assert journal.since(0) is None
    kept = journal.since(90) or []
    assert [event.data["text"].rstrip("x") for event in kept] == [str(number) for number in range(90, 100)]
    assert sum(len(event.data["text"]) for event in journal._events) <= 1024 * 1024
    for number in range(5000):
        journal.output("web-0", "stdout", str(number))
    assert len(journal._events) == 2000
    assert journal._said == sum(len(event.data["text"]) for event in journal._events)
