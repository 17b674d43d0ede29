"""The page of scaling: its settings are settings, and it has a picture of each policy and each clamp."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from cloudms import registry
from cloudms.scaling.clamps import CLAMPS
from cloudms.scaling.spec import KEYS, ScalingSpec
from tests.house.pictures import FOLDER, pictures
from tests.house.source import DOCS

PAGE = (DOCS / "scaling.md").read_text(encoding="utf-8")
BLOCKS = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]


@pytest.mark.parametrize("plain", BLOCKS, ids=lambda plain: ", ".join(plain))
def test_settings_of_the_page_can_be_set(plain: dict[str, Any]) -> None:
    spec = ScalingSpec.from_plain(plain)
    assert ScalingSpec.from_plain(spec.to_plain()) == spec


def test_every_policy_has_its_settings_and_its_picture() -> None:
    kinds = {policy["kind"] for plain in BLOCKS for policy in plain.get("policies", ())}
    assert kinds == set(registry.FAMILIES["cloudms.policies"])
    assert all(f"({FOLDER}/policy-{kind}.svg)" in PAGE for kind in kinds)


def test_every_clamp_has_its_picture() -> None:
    drawn = set(re.findall(rf"\({FOLDER}/clamp-([a-z-]+)\.svg\)", PAGE))
    clamps = {name for name, _clamp in CLAMPS} - {"whole"}  # whole members are no limit
    assert {name.partition("-")[0] for name in drawn} == {name.partition("_")[0] for name in (*clamps, "warm_up")}


def test_every_picture_is_shown() -> None:
    assert set(re.findall(r"!\[[^]]+\]\(([^)]+\.svg)\)", PAGE)) == set(pictures())


def test_every_limit_is_explained() -> None:
    shown = {key for plain in BLOCKS for key in plain}
    assert shown >= set(KEYS) - {"interval", "drain", "on_in", "standby", "hooks", "sources", "balancer"}


def test_a_clamp_changes_what_its_picture_shows() -> None:
    """The line without the clamp is another one than that with it."""
    for name, text in pictures().items():
        if "/clamp-" in name or "replacement" in name:
            paths = re.findall(r'<path d="([^"]+)"[^>]*stroke="(#\w+)" stroke-width="(1\.5|2)"', text)
            other, own = [points for points, _color, _width in paths[-2:]]
            assert other != own, name
