"""The pydantic model of a request, derived from the parameters of a verb."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Optional

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, create_model

from cloudms.doors.rest.routes import Route
from cloudms.errors import Invalid
from cloudms.names import nearest
from cloudms.verb import Parameter

PAGE, MOST = 100, 1000
"""How many things a page of a list has when nothing is said, and at most."""
_LONGEST = 4096
_MANY = 1000
PAIRS = 100
"""KEY=VALUE words of one name in a query or form."""
_LARGEST = 2**31
_LONG = 1_000_000.0
"""Numbers beyond these are slips of the finger: GiB, lines, VMs; seconds (more than eleven days)."""

Text = Annotated[str, StringConstraints(max_length=_LONGEST, pattern=r"^[^\x00-\x1f\x7f]*$")]
Word = Annotated[str, StringConstraints(min_length=1, max_length=_LONGEST, pattern=r"^[^\x00-\x1f\x7f]*$")]
_TYPES: dict[str, Any] = {
    "str": Text,
    "bool": bool,
    "int": Annotated[int, Field(ge=-_LARGEST, le=_LARGEST)],
    "float": Annotated[float, Field(ge=-_LONG, le=_LONG, allow_inf_nan=False)],
    "dict": Annotated[dict[Word, Text], Field(max_length=_MANY)],
}


class Asked(BaseModel):
    """What every request has in common: nothing is accepted that is not known."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=(), hide_input_in_errors=True)


def model(route: Route) -> type[Asked]:
    """Return the model of what a client may say to a route, uploads left out."""
    fields = {f"{p.name}_": _field(p) for p in route.parameters if p not in route.files}
    fields |= _page() if route.lists else {}
    fields |= _dry_run() if route.changes else {}
    made: type[Asked] = create_model(route.name, __base__=Asked, **fields)  # type: ignore[call-overload]
    return made


def spelled(parameter: Parameter) -> str:
    """Return the name of a parameter as a client writes it."""
    return parameter.name.rstrip("_")


def _field(parameter: Parameter) -> tuple[Any, Any]:
    """Return type and default of a field; its name gets a `_`, so that no verb can hide a method of the model."""
    kind: Any = Literal[parameter.choices] if parameter.choices else _TYPES[parameter.type]
    if parameter.least is not None:
        kind = Annotated[kind, Field(ge=parameter.least)]
    if parameter.many:
        kind = Annotated[list[kind], Field(max_length=_MANY)]
    about: dict[str, Any] = {"alias": spelled(parameter), "description": parameter.text}
    if parameter.required:
        return kind, Field(**about)
    if parameter.default is None:
        return Optional[kind], Field(default=None, **about)  # noqa: UP045 (`kind` is a value)
    return kind, Field(default=parameter.default, **about)


def _page() -> dict[str, Any]:
    limit = Field(default=PAGE, alias="limit", ge=1, le=MOST, description="at most so many on this page")
    after = Field(default=None, alias="after", description="the cursor that the page before gave as `next`")
    return {"limit_": (int, limit), "after_": (Optional[Text], after)}  # noqa: UP045 (`Text` is a value)


def _dry_run() -> dict[str, Any]:
    text = "answer with what would be done, and change nothing"
    return {"dry_run_": (bool, Field(default=False, alias="dry_run", description=text))}


def values(found: Asked) -> dict[str, Any]:
    """Return by name of the parameter what was said; what was left out is left out."""
    return {field[:-1]: getattr(found, field) for field in found.model_fields_set}


def refused(error: ValidationError, known: list[str], command: str) -> Invalid:
    """Return what was wrong with a request as one of our errors, the first problem in its words."""
    problems = [(".".join(str(part) for part in e["loc"]), e["msg"], e["type"]) for e in error.errors()]
    name, text, kind = problems[0]
    close = nearest(name, known) if kind == "extra_forbidden" else ""
    if kind == "extra_forbidden":
        message = f"there is no parameter '{name[:80]}'"
    elif kind == "missing":
        message = f"{name} is missing"
    else:
        message = f"{name[:80]}: {text[:1].lower()}{text[1:]}" if name else text
    return Invalid(
        message,
        hint=f"did you mean '{close}'"
        if close
        else f"{command} --help tells the parameters, /openapi.json their types",
        details={"problems": [{"parameter": where[:200], "problem": what} for where, what, _ in problems[:20]]},
    )
