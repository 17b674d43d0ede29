"""The description of the interface is complete and says what is true."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from cloudms.doors.outcome import public_plan
from cloudms.doors.rest.examples import example
from cloudms.doors.rest.models import model
from cloudms.doors.rest.openapi import document
from cloudms.doors.rest.routes import routes
from cloudms.doors.rest.schemas import of_noun
from cloudms.engine.plan import Plan
from cloudms.model import Event, Flavor, Key, Noun, Operation, Step, Vm, nouns

DOCUMENT = document(list(routes()))


def references(value: Any) -> Iterator[str]:
    """Yield every reference of the document."""
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"]
        for each in value.values():
            yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)


def test_every_route_is_described_with_its_method() -> None:
    for route in routes():
        operation = DOCUMENT["paths"][route.path][route.method.lower()]
        assert operation["operationId"] == route.name
        assert operation["summary"] == route.verb.summary
        assert ("requestBody" in operation) == route.changes
        assert {"401", "403", "422", "500"} <= set(operation["responses"])


def test_every_reference_leads_somewhere() -> None:
    known = {f"#/components/{part}/{name}" for part, all_ in DOCUMENT["components"].items() for name in all_}
    assert set(references(DOCUMENT)) <= known


def test_it_is_plain_json_with_unique_names() -> None:
    assert json.loads(json.dumps(DOCUMENT)) == DOCUMENT
    names = [item["operationId"] for path in DOCUMENT["paths"].values() for item in path.values()]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("route", list(routes()), ids=lambda route: route.name)
def test_the_example_of_every_verb_is_a_request(route: Any) -> None:
    said = {name: value for name, value in example(route).items() if name not in {p.name for p in route.files}}
    assert model(route).model_validate_json(json.dumps(said), strict=True)


@pytest.mark.parametrize("noun", [Vm(name="web"), Flavor(name="small"), Key(name="k"), Event(name="e", at=1.0),
                                  Operation(name="op-1", steps=(Step(action="a", cloud="c", target="t"),))],
                         ids=lambda noun: noun.kind)  # fmt: skip
def test_a_noun_has_the_fields_of_its_schema(noun: Noun) -> None:
    schema = DOCUMENT["components"]["schemas"][noun.kind]
    assert set(schema["required"]) == set(schema["properties"]) == set(noun.to_public())


def test_types_of_fields() -> None:
    found = of_noun(Vm)["properties"]
    assert found["state"]["enum"][:2] == ["pending", "running"]
    assert found["created"] == {"type": ["string", "null"], "format": "date-time"}
    assert found["labels"] == {"type": "object", "additionalProperties": {"type": "string"}}
    assert found["public_ips"] == {"type": "array", "items": {"type": "string"}}
    assert found["ssh_port"] == {"type": "integer"}
    assert found["price_per_hour"] == {"type": ["number", "null"]}
    assert of_noun(Event)["properties"]["at"] == {"type": "string", "format": "date-time"}


def test_a_plan_has_the_fields_of_its_schema() -> None:
    shown = {**public_plan(Plan(verb="vm stop", summary="x", steps=())), "warnings": []}
    assert set(DOCUMENT["components"]["schemas"]["plan"]["properties"]) == set(shown)


HERE_ONLY = {"load", "ledger"}
"""Nouns of commands that have no request: who puts load on something does it from where he is."""


def test_every_noun_has_a_schema_and_a_list() -> None:
    kinds = set(nouns()) - HERE_ONLY
    assert {name for kind in kinds for name in (kind, f"{kind}_list")} <= set(DOCUMENT["components"]["schemas"])
