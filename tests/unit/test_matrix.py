"""The matrix of roles finds what the table of clouds and roles says and no case has shown."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from cloudms.clouds.base import Cloud, Power, Reboot, Role, all_roles
from tests.matrix import FAILED, PASSED, REFUSED, SKIPPED, Matrix, documented

HAS: tuple[type[Role], ...] = (Power, Reboot)
SAID = {role.name: role in HAS for role in all_roles()}
PAGE = """\
# Clouds and roles

| role | fake | aws | meaning |
|---|---|---|---|
| power | yes | yes | Start \\| stop |
| clone | yes |  | Make another |

| role | class |
|---|---|
| power | `Power` |
"""


def full() -> Matrix:
    """Return the matrix of a cloud with two roles, all of which was seen."""
    matrix = Matrix()
    for role in all_roles():
        matrix.note("tiny", role, PASSED, lacks=role not in HAS)
    return matrix


def test_what_was_seen_of_every_role_is_enough() -> None:
    assert full().wrong("tiny", HAS, SAID) == []


@pytest.mark.parametrize(
    ("ends", "line"),
    [
        ([], "tiny declares 'power', and no case of it passed: none ran"),
        ([SKIPPED, FAILED, FAILED], "tiny declares 'power', and no case of it passed: 2 failed, 1 skipped"),
        ([PASSED, REFUSED], "tiny declares 'power' and refused it in 1 of its cases"),
    ],
)
def test_a_role_that_is_declared_and_was_not_shown(ends: Sequence[str], line: str) -> None:
    matrix = full()
    del matrix.ran["tiny", "power"]
    for end in ends:
        matrix.note("tiny", Power, end)
    assert matrix.wrong("tiny", HAS, SAID) == [line]


def test_a_role_that_is_missing_and_was_not_refused() -> None:
    matrix = full()
    del matrix.denied["tiny", "clone"]
    assert matrix.wrong("tiny", HAS, SAID) == ["tiny has no 'clone', and no case saw that refused: none ran"]


def test_cases_of_a_role_that_is_not_declared() -> None:
    lines = full().wrong("tiny", [Power], {**SAID, "reboot": False})
    assert lines == [
        "tiny has no 'reboot', and no case saw that refused: none ran",
        "tiny has no 'reboot', and cases of it ran: 1 passed",
    ]


def test_a_table_that_says_something_else_than_the_class() -> None:
    assert full().wrong("tiny", HAS, {**SAID, "reboot": False}) == ["the table of roles says no of 'reboot' and tiny"]
    assert full().wrong("tiny", HAS, {**SAID, "clone": True}) == ["the table of roles says yes of 'clone' and tiny"]
    short = {name: said for name, said in SAID.items() if name != "power"}
    assert full().wrong("tiny", HAS, short) == ["the table of roles has no 'power' of tiny"]


def test_a_role_whose_cases_were_left_out_is_not_judged_by_them() -> None:
    matrix = full()
    del matrix.ran["tiny", "power"]
    matrix.cut.add(("tiny", "power"))
    assert matrix.wrong("tiny", HAS, SAID) == []
    assert matrix.wrong("tiny", HAS, {**SAID, "power": False}) == ["the table of roles says no of 'power' and tiny"]


def test_the_first_table_of_the_page_is_read() -> None:
    assert documented(PAGE) == {
        "fake": {"power": True, "clone": True},
        "aws": {"power": True, "clone": False},
    }


def test_what_was_seen_is_shown_role_by_role() -> None:
    matrix = full()
    matrix.note("tiny", Power, FAILED)
    matrix.note("other", Power, SKIPPED)
    lines = {line.split()[0]: line.split()[1:] for line in matrix.table()}
    assert lines["role"] == ["other", "tiny"]
    assert lines["power"] == ["0", "of", "0", "1", "of", "2"]
    assert lines["clone"] == ["?", "no"]
    assert [line.split("  ")[0] for line in matrix.table()[1:]] == [role.name for role in all_roles()]


def test_every_role_of_a_cloud_is_in_the_list_that_is_judged() -> None:
    assert set(all_roles()) == set(Role.__subclasses__())
    assert Cloud.roles() == ()
