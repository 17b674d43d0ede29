"""The pages below docs/reference, made from the code, so that they cannot say anything else than it does."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from enum import StrEnum

from cloudms import janitor, model, registry
from cloudms.balancers.base import BalancerInfo, Server
from cloudms.clouds.base import Cloud, all_roles
from cloudms.clouds.roles import role_table
from cloudms.config import known, settings
from cloudms.engine.rightsize import Suggestion
from cloudms.errors import tree
from cloudms.record import Record
from tests.house.commands import commands
from tests.house.markdown import code, table
from tests.house.rest import requests

NOTE = "<!-- Made from the code by `python -m tests.house.generate`; what you change here is lost. -->"


def pages() -> dict[str, str]:
    """Return every page by its path below docs/."""
    made = {
        "commands": commands(),
        "errors": _errors(),
        "nouns": _nouns(),
        "rest": requests(),
        "roles": _roles(),
        "settings": _settings(),
        "states": _states(),
    }
    return {f"reference/{name}.md": f"{NOTE}\n\n" + "\n".join(lines) + "\n" for name, lines in made.items()}


# Nouns and states


def _nouns() -> Iterator[str]:
    yield from ("# Nouns", "", "What exists, field by field, as `-o json` shows it and `--columns` chooses it.", "")
    yield from (
        "Every object begins with `kind` and `schema`; times are RFC 3339 text in UTC there, epoch seconds in",
        "Python.",
        "",
    )
    yield from _fields(model.Noun, "## Every noun")
    for cls in _shown_nouns():
        yield from _fields(cls, f"## {cls.kind}")
    yield from _fields(model.Step, "## step")
    yield from _fields(model.Rule, "## rule")


def _shown_nouns() -> list[type[model.Noun]]:
    own = [cls for cls in model.nouns().values() if cls.__module__.startswith("cloudms.model.")]
    return [*own, janitor.Finding, Suggestion, BalancerInfo, Server]


def _fields(cls: type[Record], title: str) -> Iterator[str]:
    yield from (title, "", inspect.cleandoc(cls.__doc__ or ""), "")
    columns: tuple[str, ...] = getattr(cls, "columns", ())
    if columns:
        yield from (f"Columns: {code(columns)}", "")
    types = inspect.get_annotations(cls)
    rows = [(f"`{name}`", _type(name, types[name])) for name in cls.field_names() if name in types and name != "raw"]
    if rows:
        yield from (*table(("field", "type"), rows), "")


def _type(name: str, text: str) -> str:
    if name in model.TIMES:
        return "time or null"
    words = {
        "str": "text",
        "int": "whole number",
        "float": "number",
        "bool": "truth",
        "Any": "anything",
        "None": "null",
    }
    plain = text.replace("Mapping[str, Any]", "object").replace("Mapping[str, str]", "object of texts")
    plain = plain.replace("Mapping[str, int]", "object of whole numbers").replace("tuple[str, ...]", "list of texts")
    plain = plain.replace("tuple[Step, ...]", "list of [steps](#step)")
    plain = plain.replace("tuple[Rule, ...]", "list of [rules](#rule)")
    return " or ".join(words.get(part.strip(), _state(part.strip())) for part in plain.split("|"))


def _state(word: str) -> str:
    anchors = {"VmState": "vm", "OperationState": "operation", "Origin": "origin"}
    return f"[one of these words](states.md#{anchors[word]})" if word in anchors else word


def _states() -> Iterator[str]:
    yield from ("# States", "")
    yield from (
        "## vm",
        "",
        "The one state machine of a VM on every cloud. A state with a deadline ends by itself before",
        "it; when it does not, `cms sweep` lists the VM as overdue and asks its cloud again.",
        "",
    )
    rows = [(f"`{state}`", text, _deadline(state)) for state, text in members(model.VmState)]
    yield from (*table(("state", "meaning", "deadline"), rows), "")
    yield from ("## operation", "", *_enumeration(model.OperationState), "", "## origin", "")
    yield from _enumeration(model.Origin)


def _deadline(state: StrEnum) -> str:
    seconds = model.VmState(state).deadline
    return f"{seconds:g} s" if seconds else ""


def _enumeration(cls: type[StrEnum]) -> list[str]:
    return table(("word", "meaning"), ((f"`{member}`", text) for member, text in members(cls)))


def members(cls: type[StrEnum]) -> Iterator[tuple[StrEnum, str]]:
    """Yield every member with the text that stands below it. Raises: KeyError when one has none."""
    source = inspect.getsource(sys.modules[cls.__module__])
    body = next(n for n in ast.parse(source).body if isinstance(n, ast.ClassDef) and n.name == cls.__name__)
    found: dict[str, str] = {}
    for node, below in zip(body.body, body.body[1:], strict=False):
        if isinstance(node, ast.Assign) and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            found[ast.unparse(node.targets[0])] = " ".join(str(below.value.value).split())
    for name, member in cls.__members__.items():
        yield member, found[name]


# Errors


def _errors() -> Iterator[str]:
    yield from (
        "# Errors",
        "",
        "Every error is classed by what to do next. The number is the exit code of the command line;",
        "0 is success.",
        "",
    )
    rows = [
        (
            cls.exit_code,
            f"`{cls.code}`",
            f"`{cls.__name__}`",
            _meaning(cls),
            cls.http_status,
            "yes" if cls.retryable else "",
        )
        for cls in sorted(tree(), key=lambda cls: (cls.exit_code, cls.mro().index(Exception)))
    ]
    yield from table(("exit code", "code", "in Python", "meaning", "HTTP", "retryable"), rows)
    yield from ("", "HTTP statuses are those of [REST](../rest.md#errors).")


def _meaning(cls: type[Exception]) -> str:
    if cls.__base__ is Exception:
        return "a bug in cloudms itself; `--debug` shows where"
    return (cls.__doc__ or "").strip().partition("\n")[0].rstrip(".")


# Roles


def _roles() -> Iterator[str]:
    kinds = {kind: registry.load("cloudms.clouds", kind) for kind in registry.FAMILIES["cloudms.clouds"]}
    yield from (
        "# Clouds and roles",
        "",
        "What each kind of cloud can do; `cms cloud roles` shows the same with the plug-ins of a machine.",
        "",
    )
    rows = [(row["name"], *("yes" if row[kind] else "" for kind in kinds), row["text"]) for row in role_table(kinds)]
    yield from table(("role", *kinds, "meaning"), rows)
    yield from ("", "A cloud may still refuse a role for one VM, and then says why.", "", "## Methods", "")
    yield from ("Every cloud has the required methods; a role adds its own. A method in brackets is not required.", "")
    rows = [("required", "`Cloud`", _own(Cloud)), *((r.name, f"`{r.__name__}`", _own(r)) for r in all_roles())]
    yield from table(("role", "class", "methods"), rows)


def _own(cls: type) -> str:
    """Return the methods of a class that a cloud writes, those it may leave out in brackets."""
    names = [name for name, member in vars(cls).items() if inspect.isfunction(member) and not name.startswith("_")]
    left_out = ("supports",)
    return ", ".join(
        f"`{name}`" if getattr(vars(cls)[name], "__isabstractmethod__", False) else f"(`{name}`)"
        for name in names
        if name not in left_out
    )


# Settings


def _settings() -> Iterator[str]:
    yield from (
        "# Settings",
        "",
        "What [Settings](../settings.md) and [Configuration](../configuration.md) explain, word by word.",
        "",
    )
    yield from ("## Built in", "", *table(("setting", "value", "variable"), _built_in()), "")
    yield from ("## Short words of `cms set`", "", *table(("word", "setting"), _short()), "")
    yield from (
        "## Kinds of clouds",
        "",
        *table(("kind", "in this release", "also written", "settings of its own"), _kinds()),
        "",
    )
    yield from ("Every cloud may have " + code(known.EVERY_OPTION) + ".", "")
    yield from ("## Sections of the file", "", "Used: " + code(w for w in known.SECTIONS if w not in known.UNUSED), "")
    yield from ("Kept and not used: " + code(known.UNUSED), "")
    yield from ("## Keys of a section", "", *table(("section", "keys"), _keys()), "")
    yield from (
        "## Credentials",
        "",
        "What each kind may have below `credentials`; of kinds that are not here nothing is warned about.",
        "",
    )
    yield from table(("kind", "keys"), ((kind, code(names)) for kind, names in known.CREDENTIALS.items()))


def _built_in() -> list[tuple[str, ...]]:
    return [
        (f"`{key}`", f"`{value}`", f"`{settings.environment_name(key)}`") for key, value in settings.BUILT_IN.items()
    ]


def _short() -> list[tuple[str, str]]:
    own = [(f"`{word}`", f"`{key}`") for word, key in settings.SHORT.items()]
    return own + [
        (f"`{word}`", f"`cloud.NAME.default.{word}` of the default cloud, or of `--cloud`")
        for word in settings.PER_CLOUD
    ]


def _kinds() -> list[tuple[str, ...]]:
    here = registry.FAMILIES["cloudms.clouds"]
    other_words = {kind: code(word for word, own in known.KIND_ALIASES.items() if own == kind) for kind in known.KINDS}
    return [
        (kind, "yes" if kind in here else "read, not opened", other_words[kind], code(known.OPTIONS.get(kind, ())))
        for kind in known.KINDS
    ]


def _keys() -> list[tuple[str, str]]:
    return [
        ("`profile`", code(known.PROFILE)),
        ("`security`", code(known.SECURITY)),
        ("`default`", code(known.GLOBAL_DEFAULT)),
        ("`cloud.NAME`", code(known.ENTRY)),
        ("`cloud.NAME.cm`", code(known.CM)),
        ("`cloud.NAME.default`", code(known.DEFAULT)),
    ]
