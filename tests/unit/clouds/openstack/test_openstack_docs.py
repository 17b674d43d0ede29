"""docs/openstack.md is complete: every setting, every piece of metadata, every state of nova."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloudms.clouds import notes
from cloudms.clouds.openstack import describe, marks, settings, tags
from cloudms.config import known

PAGE = (Path(__file__).parents[4] / "docs" / "openstack.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [*known.OPTIONS["openstack"], *known.EVERY_OPTION])
def test_a_setting_is_documented(name: str) -> None:
    assert f"`{name}`" in PAGE


def test_every_piece_of_metadata_is_documented() -> None:
    kept = {**vars(notes), **vars(tags)}
    ours = [value for name, value in kept.items() if name.isupper() and str(value).startswith("cms:")]
    assert len(ours) > 10
    assert [value for value in ours if value not in (notes.PREFIX, marks.LABEL) and f"`{value}`" not in PAGE] == []


def test_every_policy_and_every_service_that_can_be_set_is_known() -> None:
    assert f"`{settings.POLICIES[0]}`" in PAGE
    assert all(f"{service}: URL" in PAGE for service in settings.SERVICES if service != "identity")


def test_states_that_are_called_otherwise_here_are_explained() -> None:
    obvious = {"DELETED", "HARD_REBOOT", "REBOOT", "REBUILD", "RESIZE", "REVERT_RESIZE", "SOFT_DELETED"}
    assert [status for status in describe.STATES if status not in obvious and status not in PAGE] == []
