"""From a verb to a click command, and from words to the values of its parameters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from cloudms.doors.options import Options, metavar, negated, shared, spelled
from cloudms.errors import Invalid, NotFound
from cloudms.names import nearest
from cloudms.older import without_option
from cloudms.record import Record
from cloudms.verb import Parameter, Verb, parameters

GLOBAL = "_global_"
"""What the options of every command begin with among the parsed values."""


class HelpWanted(Exception):
    """`--help` was among the words."""


class Request(Record):
    """What was asked: values for those of the verb's parameters that were given, and the options of every command."""

    values: dict[str, Any]
    options: Options


def parse(verb: Verb, words: Sequence[str], usual: Options | None = None, *, here: bool = True) -> Request:
    """Read the words that follow the verb's own; `usual` are the options of every command when none are given.

    Parameters: `here`, whether files that are to be read must be there.
    Raises: HelpWanted, Invalid (with the nearest option), NotFound.
    """
    known = parameters(verb)
    rest = next((p for p in known if p.rest), None)
    given, after = _divided(list(words)) if rest else (list(words), None)
    if verb.path[0] == "vm":
        given = without_option(given)
    command = command_of(verb, [p for p in known if p is not rest])
    try:
        context = command.make_context(f"cms {verb.name}", given)
    except click.ClickException as error:
        raise _invalid(verb, command, error) from None
    typed = {
        name: value
        for name, value in context.params.items()
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    }
    values = {p.name: _value(p, typed[p.name], here=here) for p in known if p.name in typed}
    if rest and after is not None:
        values[rest.name] = after
    elif rest and rest.required:
        raise Invalid(f"nothing follows '--'; {rest.name} is missing", hint=f"cms {verb.name} --help")
    chosen = {name.removeprefix(GLOBAL): value for name, value in typed.items() if name.startswith(GLOBAL)}
    if "columns" in chosen:
        chosen["columns"] = tuple(c.strip().replace("-", "_") for c in chosen["columns"].split(",") if c.strip())
    return Request(values=values, options=usual.with_(**chosen) if usual else Options(**chosen))


def command_of(verb: Verb, known: Sequence[Parameter]) -> click.Command:
    """Return the click command of a verb."""
    own = [_argument(p) if p.argument else _option(p) for p in known]
    return _Command(
        verb.path[-1], params=[*own, *_shared(verb, known), _help()], add_help_option=False, help=verb.summary
    )


def _shared(verb: Verb, known: Sequence[Parameter]) -> list[click.Option]:
    return [_option(p, prefix=GLOBAL) for p in shared(verb, known)]


def _argument(parameter: Parameter) -> click.Argument:
    return click.Argument(
        [parameter.name],
        type=_Kind(parameter),
        nargs=-1 if parameter.many or parameter.type == "dict" else 1,
        required=parameter.required,
        metavar=metavar(parameter),
    )


def _option(parameter: Parameter, prefix: str = "") -> click.Option:
    names = spelled(parameter)
    if parameter.type == "bool":
        if no := negated(parameter):
            names[-1] += f"/{no}"
        return click.Option([prefix + parameter.name, *names], is_flag=True, default=False)
    return click.Option(
        [prefix + parameter.name, *names],
        type=_Kind(parameter),
        multiple=parameter.many or parameter.type == "dict",
        required=parameter.required,
        metavar=metavar(parameter),
    )


def _help() -> click.Option:
    def wanted(context: click.Context, _option: click.Parameter, value: bool) -> None:
        if value:
            raise HelpWanted

    return click.Option(["-h", "--help"], is_flag=True, is_eager=True, expose_value=False, callback=wanted)


class _Command(click.Command):
    """A command whose short options are found at once.

    click looks for `-o` among the long options first, and for the nearest of them, which costs 3 ms per command.
    """

    def make_parser(self, ctx: click.Context) -> Any:
        """Return the parser."""
        parser: Any = super().make_parser(ctx)
        parser._long_opt.update(parser._short_opt)
        return parser


class _Kind(click.ParamType):  # type: ignore[type-arg]  # generic in newer versions only
    """Turns one word into the value of a parameter."""

    def __init__(self, parameter: Parameter) -> None:
        self.parameter = parameter
        self.name = parameter.type

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the value of a word. Raises: click.BadParameter."""
        choices = self.parameter.choices
        if choices:
            if value in choices:
                return value
            close = nearest(value, choices)
            known = f"did you mean '{close}'" if close else "it is one of " + ", ".join(choices)
            self.fail(f"there is no '{value[:80]}'; {known}", param, ctx)
        try:
            found: Any = _READ[self.name](value) if self.name in _READ else value
        except ValueError as error:
            self.fail(str(error), param, ctx)
        least = self.parameter.least
        if least is not None and found < least:
            self.fail(f"{found} is less than {least}", param, ctx)
        return found


def _int(word: str) -> int:
    try:
        return int(word)
    except ValueError:
        raise ValueError(f"'{word[:80]}' is not a whole number") from None


def _float(word: str) -> float:
    try:
        number = float(word)
    except ValueError:
        raise ValueError(f"'{word[:80]}' is not a number") from None
    if number - number != 0:
        raise ValueError(f"'{word}' is not a number to work with")
    return number


def _pair(word: str) -> tuple[str, str]:
    key, equals, value = word.partition("=")
    if not equals or not key:
        raise ValueError(f"'{word[:80]}' is not of the form key=value")
    return key, value


_READ = {"int": _int, "float": _float, "dict": _pair, "path": Path}


def _value(parameter: Parameter, typed: Any, *, here: bool) -> Any:
    if parameter.type == "dict":
        return dict(typed)
    if here and parameter.file and not parameter.file.write:
        for path in typed if parameter.many else [typed]:
            if not path.exists():
                raise NotFound(f"there is no file {path}", hint=f"{parameter.name} takes the path of a file to read")
    return list(typed) if parameter.many else typed


def _divided(words: list[str]) -> tuple[list[str], list[str] | None]:
    if "--" not in words:
        return words, None
    place = words.index("--")
    return words[:place], words[place + 1 :]


def _invalid(verb: Verb, command: click.Command, error: click.ClickException) -> Invalid:
    """Return a usage error of click as one of ours: a line, and what to do next."""
    hint = f"cms {verb.name} --help"
    if isinstance(error, click.NoSuchOption):
        known = [name for param in command.params for name in (*param.opts, *param.secondary_opts)]
        close = nearest(error.option_name, [name for name in known if name.startswith("--")])
        return Invalid(f"no option {error.option_name[:80]}", hint=f"did you mean {close}" if close else hint)
    if isinstance(error, click.MissingParameter) and error.param is not None:
        return Invalid(f"{_label(error.param)} is missing", hint=hint)
    if isinstance(error, click.BadParameter) and error.param is not None:
        return Invalid(f"{_label(error.param)}: {error.message}", hint=hint)
    message = error.message.rstrip(".").replace("Got unexpected", "unexpected")
    return Invalid(f"{message[:1].lower()}{message[1:200]}", hint=hint)


def _label(parameter: click.Parameter) -> str:
    return parameter.opts[-1] if isinstance(parameter, click.Option) else (parameter.metavar or str(parameter.name))
