"""Ports that are opened for a VM: what is read, and what clouds get that forward each."""

from __future__ import annotations

import pytest

from cloudms.clouds.ports import numbers
from cloudms.errors import Invalid


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (None, []),
        ([80, 443, 80], [80, 443]),
        ("80, 8000-8002", [80, 8000, 8001, 8002]),
        (["8000-8002", 8001], [8000, 8001, 8002]),
        ([22, 80], [80]),
    ],
)
def test_ports_come_one_by_one_and_once(wanted: object, found: list[int]) -> None:
    assert numbers(wanted) == found


@pytest.mark.parametrize("wrong", ["53/udp", "1000-1100", "web", ["80-"], 0, [70_000]])
def test_what_cannot_be_forwarded_is_said_in_one_line(wrong: object) -> None:
    with pytest.raises(Invalid) as refused:
        numbers(wrong)
    assert refused.value.hint
    assert "\n" not in refused.value.message
