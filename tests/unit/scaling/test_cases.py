"""What is observed leads to a decision with its reason: cases as data."""

from __future__ import annotations

import json

import pytest

from cloudms import registry
from cloudms.scaling.base import Decision
from tests.unit.scaling.cases import cases, decisions

CASES = cases()


@pytest.mark.parametrize("name", CASES)
def test_what_is_observed_leads_to_a_decision(name: str) -> None:
    for number, (decision, expected) in enumerate(decisions(CASES[name])):
        for field, wanted in expected.items():
            told = getattr(decision, field)
            if field in ("clamps", "problems"):
                assert wanted in "; ".join(told) if wanted else not told, f"look {number}, {field}: {decision}"
            elif field == "reason":
                assert wanted in told, f"look {number}: {decision}"
            elif field == "wished" and wanted is not None:
                assert told == pytest.approx(wanted, abs=1e-3), f"look {number}: {decision}"
            else:
                assert (list(told) if field == "members" else told) == wanted, f"look {number}, {field}: {decision}"
        assert decision.reason
        assert Decision.from_document(json.loads(json.dumps(decision.to_document()))) == decision


def test_every_policy_has_its_cases() -> None:
    kinds = [each["kind"] for case in CASES.values() for each in case["spec"].get("policies", ())]
    for kind in registry.FAMILIES["cloudms.policies"]:
        assert kinds.count(kind) >= 5, kind
    assert len(CASES) >= 75
