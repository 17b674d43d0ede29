"""The matrix of roles: what a cloud lacks is refused, and the table of the documentation says what this run saw."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
from cloud_subjects import SUBJECTS, Bench
from tests.matrix import Matrix, documented

from cloudms import registry
from cloudms.clouds.base import Cloud, Role, all_roles, require
from cloudms.errors import Unsupported

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "roles.md"


def test_a_role_that_a_cloud_lacks_is_refused_with_a_reason(bench: Bench, cloud: Cloud, lacked: type[Role]) -> None:
    assert cloud.supports(lacked)
    with pytest.raises(Unsupported, match=r"^cloud 'bench' cannot do this: \S") as refused:
        require(cloud, lacked)
    assert refused.value.details == {"cloud": "bench", "role": lacked.name}
    calls = [name for name, member in vars(lacked).items() if inspect.isfunction(member)]
    assert [call for call in calls if hasattr(cloud, call)] == [], "what it can do it does not declare"


LIVE = {subject.kind: subject.live for subject in SUBJECTS}
KINDS = [pytest.param(kind, marks=[pytest.mark.live] if live else []) for kind, live in LIVE.items()]


@pytest.mark.parametrize("kind", KINDS)
def test_every_role_in_the_table_was_seen_and_no_other(kind: str, matrix: Matrix) -> None:
    if matrix.partial:
        pytest.skip("only a part of the contract was run")
    if kind in matrix.absent:
        pytest.skip(matrix.absent[kind])
    cls: type[Cloud] = registry.load("cloudms.clouds", kind)
    own = {role.name: role in cls.roles() for role in all_roles()}
    said = documented(PAGE.read_text(encoding="utf-8"))
    matrix.judged = True
    wrong = matrix.wrong(kind, cls.roles(), said[kind] if kind in registry.FAMILIES["cloudms.clouds"] else own)
    assert not wrong, "\n".join(wrong)
