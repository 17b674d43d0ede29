"""Other programs on this terminal, and which process it is."""

from __future__ import annotations

import os
import sys

import pytest

from cloudms.context import Context
from cloudms.engine.process import alive, become, beside, this_process


def lasting() -> Context:
    made = Context()
    made.lasting = True
    return made


@pytest.mark.parametrize(("script", "code"), [("exit 0", 0), ("exit 3", 3), ("kill -TERM $$", 143)])
def test_where_the_process_goes_on_a_program_runs_beside_it(script: str, code: int) -> None:
    with pytest.raises(SystemExit) as ended:
        become(lasting(), ["sh", "-c", script])
    assert ended.value.code == code


def test_a_program_that_is_missing_is_said() -> None:
    with pytest.raises(FileNotFoundError):
        become(lasting(), ["no-such-program"])


def test_a_program_does_not_read_the_rest_of_a_script() -> None:
    reader, writer = os.pipe()
    kept = os.dup(0)
    try:
        os.write(writer, b"the next line")
        os.dup2(reader, 0)
        assert beside(["sh", "-c", 'read word; test -z "$word"']) == 0
        assert os.read(0, 100) == b"the next line"
    finally:
        os.dup2(kept, 0)
        for number in (reader, writer, kept):
            os.close(number)


def test_a_program_sees_its_environment() -> None:
    assert beside([sys.executable, "-c", "import os; os._exit(int(os.environ['X']))"], {"X": "7"}) == 7


def test_a_process_knows_itself() -> None:
    assert alive(this_process())
    assert not alive(this_process() + "0")
