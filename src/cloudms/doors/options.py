"""How parameters are spelled on a command line, and the options that every command has."""

from __future__ import annotations

from collections.abc import Sequence

from cloudms import registry
from cloudms.record import Record
from cloudms.verb import Parameter, Verb


class Options(Record):
    """The options of every command."""

    output: str = "table"
    columns: tuple[str, ...] = ()
    no_header: bool = False
    dry_run: bool = False
    yes: bool = False
    quiet: bool = False
    debug: bool = False


def shared(verb: Verb, known: Sequence[Parameter]) -> list[Parameter]:
    """Return the options of every command that this verb takes, its own ones of the same name left out."""
    formats = tuple(registry.index().families["cloudms.formats"])
    every = [
        Parameter(name="output", short="o", type="str", choices=formats, default="table", text="how results are shown"),
        Parameter(name="columns", type="str", text="columns of the table or csv, joined by commas"),
        Parameter(name="no_header", type="bool", default=False, text="leave out the column names"),
        Parameter(name="quiet", short="q", type="bool", default=False, text="say nothing but results and errors"),
        Parameter(name="debug", type="bool", default=False, text="show the traceback of a bug"),
    ]
    if verb.changes:
        every += [
            Parameter(name="dry_run", type="bool", default=False, text="show what would be done and change nothing"),
            Parameter(name="yes", short="y", type="bool", default=False, text="do not ask"),
        ]
    taken = {p.name for p in known} | {p.short for p in known if p.short}
    return [p.with_(short="" if p.short in taken else p.short) for p in every if p.name not in taken]


def spelled(parameter: Parameter) -> list[str]:
    """Return the option as it is typed, the short form first."""
    long = "--" + parameter.name.rstrip("_").replace("_", "-")
    return [f"-{parameter.short}", long] if parameter.short else [long]


def negated(parameter: Parameter) -> str:
    """Return the option that says no, of a truth that is not simply off when nothing is said, or an empty string."""
    asked = parameter.type == "bool" and parameter.default is not False and not parameter.argument
    return f"--no-{spelled(parameter)[-1][2:]}" if asked else ""


def metavar(parameter: Parameter) -> str:
    """Return what stands for the value in help."""
    if parameter.choices:
        return "|".join(parameter.choices)
    if parameter.argument:
        return parameter.name.upper().rstrip("_")
    words = {"int": "N", "float": "N", "dict": "KEY=VALUE", "path": "PATH"}
    return words.get(parameter.type, (parameter.names or "text").upper())
