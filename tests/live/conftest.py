"""What several live tests take, each with a lab of its own way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.live.openstack.accounts import Account
    from tests.live.openstack.lab import Lab


@pytest.fixture(scope="module")
def account(lab: Lab) -> Iterator[Account]:
    """Return an account of the OpenStack that a module's `lab` is, for all its tests."""
    made = lab.account()
    yield made
    lab.wipe(made)
