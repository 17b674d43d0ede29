"""The token of an address that is kept from its VM."""

from __future__ import annotations

_CATALOG = 8
"""Digits of a token that name the catalog it was made with."""


def kept_token(vm_token: str, address: str) -> str:
    """Return the token of an `address` that outlives the VM with this token: always the same, of the same catalog."""
    from hashlib import sha256

    return vm_token[:_CATALOG] + sha256(f"{vm_token} {address}".encode()).hexdigest()[:24]
