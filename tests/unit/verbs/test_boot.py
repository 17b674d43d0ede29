"""Booting: what is refused before anything is written down."""

from __future__ import annotations

import sys

import pytest

from cloudms.context import Context
from cloudms.errors import MissingExtra
from tests.unit.verbs.conftest import Call


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_missing_optional_part_is_named_before_an_image_is_built(
    ctx: Context, call: Call, monkeypatch: pytest.MonkeyPatch, *, dry_run: bool
) -> None:
    monkeypatch.setitem(sys.modules, "libvirt", None)
    monkeypatch.setattr("cloudms.images.build.build", lambda *_args, **_facts: pytest.fail("an image is built"))
    with pytest.raises(MissingExtra) as caught:
        call("vm boot", "micro", cloud="local", dry_run=dry_run)
    assert caught.value.hint == 'pip install "cloudms[libvirt]"'
    assert not ctx.catalog.find("vm")
    assert not ctx.catalog.find("operation")
