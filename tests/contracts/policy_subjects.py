"""The scaling policies that are held to the contract: settings of each kind that work."""

from __future__ import annotations

from typing import Any

EXAMPLES: dict[str, dict[str, Any]] = {
    "threshold": {"metric": "cpu", "above": 70, "window": "30s"},
    "target": {"metric": "cpu", "value": 60},
    "steps": {"metric": "cpu", "steps": [{"from": 70, "add": 2}, {"to": 20, "remove": 1}]},
    "schedule": {"times": [{"at": "08:00", "until": "18:00", "size": 4}], "zone": "Europe/Berlin"},
    "queue": {"metric": "queue", "per_member": 5},
    "predictive": {"metric": "requests", "value": 10},
}
"""One for each kind of `families.FAMILIES["cloudms.policies"]`."""
