"""Craters, where things can be put."""

from __future__ import annotations

from typing import Annotated, ClassVar

from cloudms.context import Context
from cloudms.engine import Listing, Plan, Work, action
from cloudms.errors import Invalid
from cloudms.model import Noun, Step
from cloudms.verb import Doc, Names, Short, verb


class Crater(Noun):
    """A hole in the ground; `depth_m` is its depth in metres."""

    kind: ClassVar[str] = "crater"
    columns: ClassVar[tuple[str, ...]] = ("name", "depth_m")

    depth_m: int = 0


@verb("crater", "list", columns=Crater.columns, example="cms crater list")
def list_(ctx: Context) -> Listing:
    """List the craters."""
    found = (Crater.from_document(row.document) for row in ctx.catalog.find("crater"))
    return Listing(items=tuple(sorted(found, key=lambda crater: crater.name)))


@verb("crater", "dig", changes=True, columns=Crater.columns, example="cms crater dig tycho --depth 5")
def dig(
    ctx: Context,
    names: Annotated[list[str], Doc("names of the craters"), Names("crater")],
    *,
    depth: Annotated[int, Doc("how deep, in metres"), Short("d")] = 1,
) -> Plan:
    """Dig craters."""
    if depth < 1:
        raise Invalid(f"a crater cannot be {depth} m deep", hint="give 1 or more")
    steps = tuple(Step(action="crater.dig", target=name, cloud="", params={"depth_m": depth}) for name in names)
    return Plan(verb="crater dig", summary=f"dig {len(names)} craters", steps=steps)


@action("crater.dig")
def _dig(work: Work) -> Noun:
    crater = Crater(name=work.step.target, depth_m=work.step.params["depth_m"])
    work.report("the ground shakes")
    work.ctx.catalog.put("crater", {crater.name: crater.to_document()})
    return crater


@verb("crater", "collapse", example="cms crater collapse")
def collapse(ctx: Context) -> str:
    """Fail as a program with a bug does."""
    raise ZeroDivisionError("the rim gave way")
