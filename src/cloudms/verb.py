"""What a verb is: one typed function from which every door derives itself.

A verb's first parameter is the `Context`; the positional ones after it are its arguments, the keyword-only ones its
options. Annotations are neutral (`Annotated[int, Doc("how many VMs")]`): no door is mentioned.

    @verb("vm", "stop", changes=True, example="cms vm stop web[1-3]")
    def stop(ctx: Context, names: Annotated[list[str], Doc("VMs to stop"), Names("vm")], *,
             force: Annotated[bool, Doc("switch off at once")] = False) -> Plan:

A reading verb returns nouns (a noun, a `Listing`, plain data or text; or an iterator of text lines when it `streams`).
A changing verb returns a `Plan`, which the engine checks, writes down and executes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from cloudms.record import Record

DOORS = ("cli", "shell", "rest", "python")
LOCAL = ("cli", "shell", "python")
"""The doors of a verb that touches the manager's own files, opens a terminal, or shows a private key."""


class Doc(str):
    """The help text of a parameter: one line, lower case, no period."""

    __slots__ = ()


class Title(str):
    """A line of a streaming verb that stands out where a terminal shows it."""

    __slots__ = ()


class Short(str):
    """The one-letter form of an option."""

    __slots__ = ()


class Names(str):
    """Marks a parameter that takes names of a noun: host lists such as web[1-3] are expanded and completed."""

    __slots__ = ()


class Least(int):
    """The smallest number that a parameter takes."""

    __slots__ = ()


class File(Record):
    """Marks a path parameter: a file to read (an upload over REST), or with `write` one to write."""

    write: bool = False


class Rest(Record):
    """Marks a list argument that takes everything after `--` untouched."""


class Door(Record):
    """What a verb returns that opens another door: its name, and what it is given. The command line goes over to it."""

    name: str
    values: Mapping[str, Any] = {}


class Verb(Record):
    """One thing a person can do.

    `path` are its words; `aliases` other last words; `changes` whether it returns a plan; `streams` whether it yields
    lines; `newest` whether a list begins with what is newest, so that a limit only cuts its end; `doors` where it
    stands; `columns` what a table shows; `example` one command line that works. `sends` is what a door does instead
    that cannot write where the person is: it takes those of the verb's parameters that it has, and returns an archive.
    """

    path: tuple[str, ...]
    function: Callable[..., Any]
    summary: str
    text: str = ""
    example: str = ""
    changes: bool = False
    streams: bool = False
    newest: bool = False
    doors: tuple[str, ...] = DOORS
    aliases: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    sends: Callable[..., Any] | None = None

    @property
    def name(self) -> str:
        """Return its words as typed."""
        return " ".join(self.path)


class Parameter(Record):
    """One parameter of a verb, as a door needs it.

    `type` is str, int, float, bool, dict (key=value pairs) or path; `many` whether it is a list; `argument` whether it
    is positional; `choices` the words allowed; `least` the smallest number; `names` the noun whose names it takes.
    """

    name: str
    type: str
    text: str = ""
    many: bool = False
    argument: bool = False
    required: bool = False
    default: Any = None
    choices: tuple[str, ...] = ()
    least: int | None = None
    names: str = ""
    short: str = ""
    file: File | None = None
    rest: bool = False


def verb(
    *path: str,
    changes: bool = False,
    streams: bool = False,
    newest: bool = False,
    doors: Sequence[str] = DOORS,
    aliases: Sequence[str] = (),
    columns: Sequence[str] = (),
    example: str = "",
    sends: Callable[..., Any] | None = None,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a function a verb; the first line of its docstring is its summary, the rest its text."""

    def mark(function: Callable[..., Any]) -> Callable[..., Any]:
        lines = (function.__doc__ or "").strip().split("\n\n", 1)
        function.__verb__ = Verb(  # type: ignore[attr-defined]
            path=path,
            function=function,
            summary=" ".join(lines[0].split()).rstrip("."),
            text=_dedent(lines[1]) if len(lines) > 1 else "",
            example=example,
            changes=changes,
            streams=streams,
            newest=newest,
            doors=tuple(doors),
            aliases=tuple(aliases),
            columns=tuple(columns),
            sends=sends,
        )
        return function

    return mark


def verbs_of(module: Any) -> list[Verb]:
    """Return the verbs a module defines, in the order they are written; those it imports are another module's."""
    marked = (value for value in vars(module).values() if hasattr(value, "__verb__"))
    return [value.__verb__ for value in marked if value.__module__ == module.__name__]


def parameters(of: Verb) -> list[Parameter]:
    """Return the parameters of a verb, derived once from the signature and annotations of its function."""
    known = of.function.__dict__
    if "__parameters__" not in known:
        known["__parameters__"] = tuple(_derived(of))
    return list(known["__parameters__"])


def _derived(of: Verb) -> Iterator[Parameter]:
    import inspect
    import typing

    hints = typing.get_type_hints(of.function, include_extras=True)
    for parameter in list(inspect.signature(of.function).parameters.values())[1:]:
        required = parameter.default is inspect.Parameter.empty
        yield Parameter(
            name=parameter.name,
            argument=parameter.kind is not inspect.Parameter.KEYWORD_ONLY,
            required=required,
            default=None if required else parameter.default,
            **_annotation(hints[parameter.name]),
        )


def _annotation(hint: Any) -> dict[str, Any]:
    import types
    import typing

    facts: dict[str, Any] = {}
    if typing.get_origin(hint) is typing.Annotated:
        hint, *marks = typing.get_args(hint)
        facts.update(_marks(marks))
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        hint = next(part for part in typing.get_args(hint) if part is not type(None))
    if typing.get_origin(hint) is list:
        facts["many"] = True
        hint = typing.get_args(hint)[0]
    if typing.get_origin(hint) is typing.Literal:
        facts["choices"] = tuple(typing.get_args(hint))
        hint = str
    if typing.get_origin(hint) is dict:
        hint = dict
    facts["type"] = {"Path": "path"}.get(hint.__name__, hint.__name__)
    return facts


def _marks(marks: Iterable[Any]) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    for mark in marks:
        if isinstance(mark, Doc):
            facts["text"] = str(mark)
        elif isinstance(mark, Short):
            facts["short"] = str(mark)
        elif isinstance(mark, Names):
            facts["names"] = str(mark)
        elif isinstance(mark, Least):
            facts["least"] = int(mark)
        elif isinstance(mark, File):
            facts["file"] = mark
        elif isinstance(mark, Rest):
            facts["rest"] = True
    return facts


def _dedent(text: str) -> str:
    """Return text without its common indentation (textwrap's own takes as long to import as three verbs)."""
    lines = text.splitlines()
    indent = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    return "\n".join(line[indent:].rstrip() for line in lines).strip()
