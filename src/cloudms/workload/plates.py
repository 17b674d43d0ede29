"""Random licence plates as Indian states give them: KL-12-AB-3456."""

from __future__ import annotations

from random import Random

STATES = (
    "AN", "AP", "AR", "AS", "BR", "CG", "CH", "DD", "DL", "GA", "GJ", "HP", "HR", "JH", "JK", "KA", "KL", "LA", "LD",
    "MH", "ML", "MN", "MP", "MZ", "NL", "OD", "PB", "PY", "RJ", "SK", "TN", "TR", "TS", "UK", "UP", "WB",
)  # fmt: skip
"""Codes of the states and union territories."""
LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"
"""Those of a series; I and O are left out, since they look like digits."""


def plate(random: Random) -> str:
    """Return one plate: state, district, series, number."""
    series = "".join(random.choices(LETTERS, k=2))
    return f"{random.choice(STATES)}-{random.randint(1, 99):02}-{series}-{random.randint(1, 9999):04}"
