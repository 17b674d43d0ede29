"""From the YAML file of an experiment to its specification: everything is checked, and an error names file and line.

The reader is that of the configuration: strict about what YAML leaves open (`NO` stays text), with `!include`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from cloudms import names, units
from cloudms.config import reader
from cloudms.config.secret import is_reference
from cloudms.errors import CloudmsError, ConfigError
from cloudms.jobs import parameters
from cloudms.jobs.fields import Field, Top
from cloudms.jobs.spec import Archive, Boot, Git, Setup, Spec, Transfer, Value

KEYS = (
    "name", "description", "commands", "setup", "inputs", "outputs", "environment", "parameters", "repeats", "retries",
    "moves", "timeout", "slots", "engine", "group", "size", "cloud", "image", "flavor", "keep", "values", "labels",
)  # fmt: skip
ALSO = {"command": "commands", "input": "inputs", "output": "outputs", "env": "environment", "label": "labels"}
"""Words for the same keys, most of them the ancestors'."""
SETUP = ("packages", "requirements", "git", "archive", "files", "commands")
VALUE = ("regex", "json", "file")
ENGINES = ("ssh", "slurm")

T = TypeVar("T")

MOST_TASKS = parameters.MOST
_URL = re.compile(r"(https?|ssh|git|file)://|[\w.-]+@[\w.-]+:")
_PACKAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_:=~/-]*")


def read(file: Path, *, sent: bool = False) -> Spec:
    """Return the experiment that a file describes.

    Parameters: `sent`, whether somebody else sent the file: it may then name no file or secret of this machine.
    Raises: ConfigError, naming file and line, with the nearest known key.
    """
    try:
        return _read(file, sent=sent)
    except ConfigError as problem:
        details = {"line": problem.details.get("line", 0)} if sent else problem.details  # where it was put says nothing
        raise ConfigError(problem.message, hint=problem.hint, details=details) from None


def _read(file: Path, *, sent: bool) -> Spec:
    try:
        document = reader.load(file)
    except ConfigError as problem:
        raise ConfigError(problem.message, hint=_hint(problem.hint), details=problem.details) from None
    top = Top(document, file, sent=sent, also=ALSO)
    if sent and len(document.files) > 1:
        raise top.wrong("a file that is sent includes no other", "write everything into the one file")
    return _spec(top)


def _hint(hint: str) -> str:
    if "cloudmesh:" in hint:
        return "begin it with 'name:' and 'commands:'"
    if hint.startswith("check that line"):
        return "check that line and the one before; quote a command that has ': ' in it, or braces inside of []"
    return "check the name" if "CLOUDMESH_CONFIG" in hint else hint


def _spec(top: Top) -> Spec:
    top.known(KEYS)
    commands = _commands(top.field("commands"), required=True)
    grid, rows, csv = parameters.read(top.field("parameters"))
    repeats = top.field("repeats").number(1, least=1, most=MOST_TASKS)
    parameters.check_count(top.field("parameters"), grid, rows, repeats)
    outputs = tuple(_below(each) for each in top.field("outputs").items())
    group, boot = _nodes(top)
    return Spec(
        name=_name(top),
        description=top.field("description").text(lines=True),
        commands=commands,
        setup=_setup(top.field("setup")),
        inputs=_transfers(top.field("inputs")),
        outputs=outputs,
        environment=_environment(top.field("environment")),
        grid=grid,
        rows=rows,
        csv=csv,
        repeats=repeats,
        retries=top.field("retries").number(0, least=0, most=100),
        moves=top.field("moves").number(3, least=0, most=100),
        timeout=_timeout(top.field("timeout")),
        slots=top.field("slots").number(1, least=1, most=256),
        engine=top.field("engine").choice(ENGINES, "ssh"),
        group=group,
        boot=boot,
        values=_values(top.field("values"), outputs, (*grid, *(rows[0] if rows else ()))),
        labels=_labels(top.field("labels")),
    )


def _name(top: Top) -> str:
    field = top.field("name")
    own = "" if top.sent else re.sub(r"[^A-Za-z0-9_.-]+", "-", top.file.stem).strip("-_.")[:63]
    word = field.text() or own or "experiment"
    return _house(field, lambda: names.valid(word))


def _house(field: Field, check: Callable[[], T]) -> T:
    """Return what a check of the house returns; what it refuses is an error of this line."""
    try:
        return check()
    except CloudmsError as problem:
        raise field.wrong(problem.message.replace("a VM name", "a name"), problem.hint) from None


def _commands(field: Field, *, required: bool = False) -> tuple[str, ...]:
    found = tuple(each.text(lines=True) for each in field.items())
    if required and not any(text.strip() for text in found):
        raise field.wrong("there are no commands", "write 'commands:' and below it '- python3 fit.py {alpha}'")
    for text in found:
        if "\0" in text:
            raise field.wrong("a command has a null character", "remove it")
    return tuple(text for text in found if text.strip())


def _setup(field: Field) -> Setup:
    field.known(SETUP)
    return Setup(
        packages=tuple(_package(each) for each in field.field("packages").items()),
        requirements=_requirements(field.field("requirements")),
        git=tuple(_git(each) for each in field.field("git").items()),
        archives=tuple(_archive(each) for each in field.field("archive").items()),
        files=_transfers(field.field("files")),
        commands=_commands(field.field("commands")),
    )


def _package(field: Field) -> str:
    text = field.text()
    if not _PACKAGE.fullmatch(text):
        raise field.wrong(f"{text[:60]!r} is not the name of a package", "for instance: packages: [python3-numpy, git]")
    return text


def _requirements(field: Field) -> tuple[str, ...]:
    """Return the lines of a requirements file, or those that stand here."""
    if isinstance(field.value, str) and (field.value.endswith(".txt") or "/" in field.value):
        path = field.local()
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as problem:
            raise field.wrong(f"{path} cannot be read: {problem}", "it is a text file of pip's") from None
        return tuple(line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#"))
    return tuple(each.text() for each in field.items())


def _git(field: Field) -> Git:
    if isinstance(field.value, str):
        return Git(url=_url(field))
    field.known(("url", "ref", "into"))
    ref = field.field("ref").text()
    if ref.startswith("-"):
        raise field.wrong(f"{ref!r} is no branch, tag or commit", "for instance: ref: v1.2")
    return Git(url=_url(field.field("url")), ref=ref, into=_into(field))


def _url(field: Field) -> str:
    text = field.text()
    if not _URL.match(text):
        raise field.wrong(f"{text[:80]!r} is not the URL of a repository", "for instance: https://github.com/you/it")
    if re.match(r"https?://[^/]*:[^/]*@", text):
        raise field.wrong("the URL has a password in it", "use a deploy key, or an archive of the repository")
    return text


def _archive(field: Field) -> Archive:
    if isinstance(field.value, dict):
        field.known(("from", "into"))
        return _archive(field.field("from")).with_(into=_into(field))
    text = field.text()
    return Archive(source=text if re.match(r"https?://", text) else str(field.local()))


def _into(field: Field) -> str:
    into = field.field("into")
    return _below(into) if into.value is not None else ""


def _transfers(field: Field) -> tuple[Transfer, ...]:
    """Return what goes to the nodes; two things that would have one name there are refused."""
    found: dict[str, Transfer] = {}
    for each in field.items():
        for transfer in _transfer(each):
            if transfer.target in found and found[transfer.target] != transfer:
                hint = "give one of them another name: {from: data/a.csv, to: b.csv}"
                raise each.wrong(f"two files would be '{transfer.target}' on the nodes", hint)
            found[transfer.target] = transfer
    return tuple(found.values())


def _transfer(field: Field) -> list[Transfer]:
    if isinstance(field.value, dict):
        field.known(("from", "to"))
        source = field.field("from").local()
        to = field.field("to")
        return [Transfer(source=str(source), target=_below(to) if to.value is not None else source.name)]
    return [Transfer(source=str(path), target=path.name) for path in field.locals()]


def _below(field: Field) -> str:
    """Return a path on the nodes, below the folder of the task. Raises: ConfigError."""
    text = field.text()
    parts = text.split("/")
    if not text or text.startswith(("/", "~")) or ".." in parts or not text.isprintable():
        raise field.wrong(f"{text[:80]!r} is not a path below the folder of the task", "for instance: results/*.csv")
    return "/".join(part for part in parts if part not in ("", "."))


def _environment(field: Field) -> dict[str, str]:
    found = {}
    for name, each in field.entries():
        parameters.check_name(each, name, "a variable")
        found[name] = each.word()
        if is_reference(found[name]) and each.sent:
            raise each.wrong(
                "a file that is sent cannot refer to secrets of this machine", "run the experiment on the machine"
            )
        if parameters.sounds_secret(name) and found[name] and not is_reference(found[name]):
            raise each.wrong(
                f"{name} is a secret in clear, and the catalog keeps what a file says",
                f"write {name}: env:{name}, and export {name} before running cms",
            )
    return found


def _timeout(field: Field) -> float:
    value = field.value
    if value is None:
        return 0.0
    return _house(field, lambda: units.duration(value))


def _nodes(top: Top) -> tuple[str, Boot | None]:
    """Return the group to run on, or what to boot. Raises: ConfigError (both are given)."""
    group, size = top.field("group"), top.field("size")
    own = [key for key in ("size", "cloud", "image", "flavor", "keep") if top.field(key).value is not None]
    if group.value is not None and own:
        raise top.field(own[0]).wrong(
            f"'{own[0]}' is for nodes that are booted for the experiment, and 'group' names nodes that are there",
            "remove one of them",
        )
    if group.value is not None:
        word = group.text()
        return _house(group, lambda: names.valid(word)), None
    if own and size.value is None:
        raise top.field(own[0]).wrong(f"'{own[0]}' stands without 'size'", "size: 3 boots three nodes")
    if not own:
        return "", None
    return "", Boot(
        size=size.number(1, least=1, most=10_000),
        cloud=top.field("cloud").text(),
        image=top.field("image").text(),
        flavor=top.field("flavor").text(),
        keep=top.field("keep").truth(),
    )


def _values(field: Field, outputs: tuple[str, ...], taken: tuple[str, ...]) -> tuple[Value, ...]:
    for name, each in field.entries():
        if name in taken:
            raise each.wrong(f"'{name}' is a parameter already", f"call the value {name}_found")
    return tuple(_value(name, each, outputs) for name, each in field.entries())


def _value(name: str, field: Field, outputs: tuple[str, ...]) -> Value:
    parameters.check_name(field, name, "a value")
    if isinstance(field.value, str):
        return Value(name=name, regex=_regex(field))
    field.known(VALUE)
    regex, json, file = (field.field(key) for key in VALUE)
    if (regex.value is None) == (json.value is None):
        raise field.wrong(f"the value '{name}' needs one of 'regex' and 'json'", f"{name}: {{regex: 'error=(.*)'}}")
    source = "stdout" if file.value is None else file.text()
    if source not in ("stdout", "stderr"):
        _below(file)
        if not any(_covers(pattern, source) for pattern in outputs):
            raise file.wrong(f"'{source}' is not collected", f"outputs: [{source}] brings it back")
    pattern = "" if regex.value is None else _regex(regex)
    return Value(name=name, source=source, regex=pattern, json="" if json.value is None else json.word())


def _covers(pattern: str, source: str) -> bool:
    from fnmatch import fnmatchcase

    return fnmatchcase(source, pattern) or source.startswith(pattern.rstrip("/") + "/")


def _regex(field: Field) -> str:
    text = field.text(lines=True)
    try:
        re.compile(text)
    except re.error as problem:
        raise field.wrong(f"{text[:60]!r} is not a regular expression: {problem}", "try 'error=([0-9.]+)'") from None
    return text


def _labels(field: Field) -> dict[str, str]:
    found = {name: each.word() for name, each in field.entries()}
    return _house(field, lambda: names.labels(found))
