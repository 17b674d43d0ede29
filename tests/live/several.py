"""Clouds of several kinds for one test: those that are there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.live.openstack import lab, lending
from tests.live.openstack.accounts import Account
from tests.live.openstack.lab import Lab


@contextmanager
def account() -> Iterator[tuple[Lab, Account] | None]:
    """Yield the OpenStack of this machine with a new account there, or None where none can be had."""
    if lending.missing():
        yield None
        return
    with lab.borrowed() as found, lab.calm():
        mine = found.account()
        try:
            yield found, mine
        finally:
            found.wipe(mine)


@contextmanager
def openstack() -> Iterator[tuple[Lab, Account]]:
    """Yield the same, or skip the test where none can be had."""
    with account() as found:
        if found is None:
            pytest.skip(f"there is no OpenStack here: {lending.missing()}")
        yield found
