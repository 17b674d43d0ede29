"""What a node answers, and how it is understood; broken answers are none."""

from __future__ import annotations

import pytest

from cloudms.jobs.node import agent, parse

WHOLE = """\
cms 1 boot-id 1700000100
setup abc failed 4
queued 0004.1 0005.2
running 0003.1 1700000050
ended 0001.1 0 1700000010 250 -
ended 0002.1 143 1700000010 6000 timeout
ended 0006.1 - 1700000010 0 restarted
withdrawn 0007.1
ok
"""


def test_a_whole_answer_is_understood() -> None:
    answer = parse(WHOLE)
    assert answer
    assert (answer.boot, answer.now, answer.setup, answer.setup_exit) == ("boot-id", 1700000100.0, "failed", 4)
    assert (answer.queued, answer.withdrawn) == (("0004.1", "0005.2"), ("0007.1",))
    assert answer.running == {"0003.1": 1700000050.0}
    good, late, lost = (answer.ended[name] for name in ("0001.1", "0002.1", "0006.1"))
    assert (good.exit, good.signal, good.seconds, good.cause) == (0, "", 2.5, "")
    assert (late.exit, late.signal, late.cause) == (143, "TERM", "timeout")
    assert (lost.exit, lost.cause) == (None, "restarted")
    assert len(answer.known) == 7


def test_a_node_that_knows_nothing_yet_says_so() -> None:
    answer = parse("cms 1 b 17\nnone\nok\n")
    assert answer
    assert (answer.fresh, answer.setup, answer.known) == (True, "none", set())


def test_what_keeps_a_node_from_work_is_told() -> None:
    answer = parse("trouble nothing can be written below /root\ncms 1 b 17\nok\n")
    assert answer
    assert answer.trouble == "nothing can be written below /root"


@pytest.mark.parametrize("cut", range(0, len(WHOLE) - 1, 7))
def test_an_answer_that_did_not_come_whole_is_none(cut: int) -> None:
    assert parse(WHOLE[:cut]) is None


@pytest.mark.parametrize(
    "text", ["", "ok\n", "hello\nok\n", "cms 1 b\nok\n", "cms 1 b now\nok\n", "cms 1 b 17\nended 1.1 0\nok\n"]
)
def test_an_answer_that_says_something_else_is_none(text: str) -> None:
    assert parse(text) is None


def test_the_script_is_named_by_its_content() -> None:
    text, digest = agent()
    assert text.startswith(b"#!/bin/sh\n")
    assert len(digest) == 16
