"""What a result means for the one who asked: the same error, and so the same exit code, at every door."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from cloudms.engine.plan import Listing, Plan
from cloudms.errors import CloudmsError, Partial, rebuilt
from cloudms.model import TIMES, Operation, Step, nouns


def of_listing(listing: Listing, asked: Collection[str]) -> CloudmsError | None:
    """Return what a list with silent clouds amounts to: their own error when nothing else answered, else Partial.

    Parameters: `asked`, the names of all clouds that were asked, where the listing does not say it.
    """
    if not listing.failed:
        return None
    asked = listing.asked or asked
    silent = ", ".join(listing.failed)
    partial = Partial(
        f"{len(listing.failed)} of {max(len(asked), len(listing.failed))} clouds did not answer: {silent}",
        hint="what is shown of them is as old as it says; cms cloud check tells more",
        details={"failed": dict(listing.failed)},
    )
    if set(asked) - set(listing.failed) or any(_in_part(error) for error in listing.failed.values()):
        return partial
    return _common(list(listing.failed.values())) or partial


def _in_part(error: Mapping[str, Any]) -> bool:
    """Whether some regions of a cloud did answer."""
    return bool((error.get("details") or {}).get("complete"))


def of_operation(operation: Operation) -> CloudmsError | None:
    """Return what an ended operation amounts to: None when all is done, the steps' own error when all failed alike."""
    failed = [step for step in operation.steps if step.state != "done"]
    if not failed:
        return None
    errors = [step.error for step in failed if step.error]
    common = _common(errors) if len(failed) == len(operation.steps) == len(errors) else None
    if common is not None:
        return common
    return Partial(
        f"{len(failed)} of {len(operation.steps)} failed: {', '.join(step.target for step in failed[:10])}",
        hint=f"cms operation resume {operation.name} tries them again",
        details={
            "operation": operation.name,
            "failed": {step.target: dict(step.error or {"code": step.state}) for step in failed},
        },
    )


def _common(errors: Sequence[Mapping[str, Any]]) -> CloudmsError | None:
    """Return the error that all of `errors` are of, in its words when there is only one."""
    if len({error.get("code") for error in errors}) != 1:
        return None
    if len(errors) == 1:
        return rebuilt(errors[0])
    return rebuilt({**errors[0], "message": f"all {len(errors)} failed: {errors[0].get('message')}"})


def results(operation: Operation) -> list[dict[str, Any]]:
    """Return what became of every step that is done, or that left something: its noun, else the record of the step."""
    ended = (step for step in operation.steps if step.state == "done" or step.result)
    return [dict(step.result) if step.result else _record(step) for step in ended]


def nouns_of(operation: Operation) -> list[Any]:
    """Return the same as nouns, for programs; a step that left nothing gives its record."""
    known = nouns()
    return [
        _noun(known[step.result["kind"]], step.result) if step.result and step.result.get("kind") in known else step
        for step in operation.steps
        if step.state == "done"
    ]


def _noun(cls: Any, public: Mapping[str, Any]) -> Any:
    """Return the noun of a public object: RFC 3339 text becomes epoch seconds again."""
    from datetime import datetime

    times = {
        name: datetime.fromisoformat(value).timestamp()
        for name, value in public.items()
        if name in TIMES and isinstance(value, str)
    }
    return cls.from_document({**public, **times})


def public_plan(plan: Plan) -> dict[str, Any]:
    """Return the one JSON shape of a plan."""
    return {
        "kind": "plan",
        "schema": 1,
        "verb": plan.verb,
        "summary": plan.summary,
        "steps": [
            {"action": s.action, "cloud": s.cloud, "target": s.target, "params": dict(s.params)} for s in plan.steps
        ],
        "question": plan.question,
        "notes": list(plan.notes),
        "shows": dict(plan.shows),
    }


def _record(step: Step) -> dict[str, Any]:
    return {
        "kind": "step",
        "schema": 1,
        "target": step.target,
        "cloud": step.cloud,
        "action": step.action,
        "state": step.state,
        "seconds": step.seconds,
    }
