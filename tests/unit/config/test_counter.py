"""The counter file, with many processes at it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cloudms.config import Counter
from cloudms.errors import ConfigError, Invalid


def test_counter(folder: Path) -> None:
    counter = Counter()
    assert counter.path == folder / "counter.yaml"
    assert [counter.get(), counter.incr(), counter.incr(), counter.get(), counter.decr(), counter.get()] == [
        0,
        1,
        2,
        2,
        1,
        1,
    ]
    assert counter.incr("usr1_counter") == 1
    assert counter.set("usr1_counter", 41) == 41
    assert counter.set("usr2_counter", "7") == 7
    assert Counter().values() == {"counter": 1, "usr1_counter": 41, "usr2_counter": 7}
    assert (folder / "counter.yaml").read_text() == "counter: 1\nusr1_counter: 41\nusr2_counter: 7\n"
    assert (counter.set("counter", 0), counter.decr()) == (0, 0)


def test_many_numbers_are_given_out_at_once(folder: Path) -> None:
    counter = Counter()
    counter.set(value=7)
    assert counter.incr(by=100) == 107
    assert counter.incr() == 108


def test_counter_goes_on_with_existing_files(folder: Path) -> None:
    (folder / "name.yaml").write_text("counter: 12\n")
    assert Counter().incr() == 13
    (folder / "counter.yaml").write_text("# mine\ncounter: 2   # broken by a race\nusr1_counter: '5'\nempty:\n")
    assert [Counter().incr(), Counter().incr("usr1_counter"), Counter().incr("empty"), Counter().incr("new")] == [
        3,
        6,
        1,
        1,
    ]
    assert (folder / "counter.yaml").read_text() == "# mine\ncounter: 3\nusr1_counter: 6\nempty: 1\nnew: 1\n"


@pytest.mark.parametrize(
    "text", ["counter: two\n", "counter: -1\n", "counter: 1.5\n", "{counter: 2}\n", "\tcounter 2\n"]
)
def test_a_counter_file_that_cannot_be_counted_with(text: str, folder: Path) -> None:
    (folder / "counter.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"counter\.yaml:1: "):
        Counter().incr()
    assert (folder / "counter.yaml").read_text() == text


@pytest.mark.parametrize("value", [None, "x", -1, 1.5, True, "", "-2", 10**19])
def test_counter_refuses(value: Any, folder: Path) -> None:
    with pytest.raises(Invalid):
        Counter().set("counter", value)


@pytest.mark.parametrize("name", ["", "a b", "a:b", "1a", "a\nb: 3", "x" * 200])
def test_counter_names(name: str, folder: Path) -> None:
    with pytest.raises(Invalid, match="cannot name a counter"):
        Counter().incr(name)
    assert not (folder / "counter.yaml").exists()


def test_twenty_processes_get_twenty_numbers(folder: Path) -> None:
    code = "from cloudms.config import Counter; print(Counter().incr())"
    running = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env={**os.environ})
        for _ in range(20)
    ]
    numbers = [int(process.communicate()[0]) for process in running]
    assert sorted(numbers) == list(range(1, 21))
    assert Counter().get() == 20
