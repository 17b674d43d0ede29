"""`cms cloud add` and `copy`: a service more in the configuration file, with references in the place of secrets."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from cloudms import registry
from cloudms.config import known, origin
from cloudms.config.clouds import entries
from cloudms.config.secret import is_reference
from cloudms.config.tree import is_clear, is_entry_credential
from cloudms.context import Context
from cloudms.engine import Plan, Work, action
from cloudms.engine.refresh import event
from cloudms.errors import Exists, Invalid
from cloudms.model import Noun, Step
from cloudms.names import nearest, unreserved
from cloudms.verb import LOCAL, Doc, Names, verb
from cloudms.verbs.cloud.look import shown
from cloudms.verbs.config import typed
from cloudms.verbs.settings import pairs

_COLUMNS = ("name", "provider", "state", "reason", "hint")
_SECTIONS = ("cm", "default", "credentials", "options")
_ABOUT = ("active", "heading", "label", "host", "version", "service")
_FIRST = {
    "aws": {"default.flavor": "t3.micro", "default.image": "debian"},
    "libvirt": {"default.image": "micro"},
    "fake": {"default.image": "micro"},
}
"""What a VM is made of on a new cloud of a kind when nobody says it."""

NewName = Annotated[str, Doc("name of the new cloud")]
Words = Annotated[list[str], Doc("KEY=VALUE of what it is told, such as region=eu-west-1 or flavor=t3.small")]
HowToLogIn = Annotated[str | None, Doc(f"where its credentials are: {origin.HOW}")]

_typed_in: dict[str, dict[str, str]] = {}
"""Secrets that a person has just typed, by cloud, on their way past plan and operation to where they are kept."""


@verb(
    "cloud", "add", changes=True, doors=LOCAL, columns=_COLUMNS, example="cms cloud add aws --credentials profile:work"
)
def add(
    ctx: Context,
    name: NewName,
    words: Words = [],  # noqa: B006 (never changed)
    *,
    kind: Annotated[str | None, Doc("which provider it is; what its name says otherwise")] = None,
    like: Annotated[str | None, Doc("make it a copy of this cloud instead"), Names("cloud")] = None,
    credentials: HowToLogIn = None,
) -> Plan:
    """Put a cloud into the configuration file; nothing is asked for that the environment knows already.

    Credentials are written as references only: `env` takes the variables of the cloud's own tools, `profile:NAME` a
    profile of AWS, `cloud:NAME` a cloud of OpenStack's clouds.yaml, `file:PATH` lines NAME=VALUE of a file of mode
    0600, `keyring:SERVICE` your desktop's keyring; `ask` asks on the terminal and keeps what you type in the keyring,
    or else in a file of mode 0600.
    """
    if like:
        if kind:
            raise Invalid("a copy is of the kind of the other", hint="leave --kind or --like out")
        return _copy(ctx, like, name, words, credentials)
    _check_new(ctx, name)
    chosen = _kind(name, kind)
    given = _told(chosen, words)
    login, note = _login(ctx, name, chosen, given, credentials)
    given |= login
    values = {"cm.kind": chosen, "cm.active": True, **_first(ctx, chosen, given), **given}
    return _plan("cloud add", f"add cloud {name} of kind {chosen}", name, values, note)


@verb(
    "cloud", "copy", changes=True, doors=LOCAL, columns=_COLUMNS, example="cms cloud copy aws aws-eu region=eu-west-1"
)
def copy(
    ctx: Context,
    source: Annotated[str, Doc("cloud that it is like"), Names("cloud")],
    name: NewName,
    words: Words = [],  # noqa: B006 (never changed)
    *,
    credentials: HowToLogIn = None,
) -> Plan:
    """Make a cloud that is like another but for what is said here; what changes there changes here, too."""
    return _copy(ctx, source, name, words, credentials)


def _copy(ctx: Context, source: str, name: str, words: Sequence[str], credentials: str | None) -> Plan:
    base = ctx.config.cloud(source)
    _check_new(ctx, name)
    values: dict[str, Any] = {"like": base.name} if base.name in _in_file(ctx) else {"cm.kind": base.kind}
    values |= _told(base.kind, words)
    login, note = _login(ctx, name, base.kind, values, credentials) if credentials else ({}, "")
    return _plan("cloud copy", f"make cloud {name} like {base.name}", name, {**values, **login}, note)


def _plan(verb_: str, summary: str, name: str, values: Mapping[str, Any], note: str) -> Plan:
    params = {"values": dict(values), "asked": name in _typed_in}
    step = Step(action="cloud.add", cloud="", target=name, params=params)
    notes = tuple(text for text in (note, f"then: cms cloud check {name}") if text)
    return Plan(verb=verb_, summary=summary, steps=(step,), notes=notes)


def _check_new(ctx: Context, name: str) -> None:
    """Refuse a name that cannot be a cloud's. Raises: Invalid, Exists."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name):
        raise Invalid(f"'{name}' cannot name a cloud", hint="letters, digits, - and _, a letter first")
    unreserved(name, registry.index().reserved(), "cloud")
    if name in _in_file(ctx):
        raise Exists(f"there is a cloud '{name}' already", hint=f"cms cloud info {name}, or choose another name")


def _in_file(ctx: Context) -> set[str]:
    return {name for _section, name, _entry in entries(ctx.config.masked())}


def _kind(name: str, said: str | None) -> str:
    """Return the kind of a new cloud. Raises: Invalid."""
    kinds = registry.index().families["cloudms.clouds"]
    found = known.kind_of(said or "", name, [])
    if found in kinds:
        return found
    close = nearest(found or name, kinds)
    why = f"nothing here opens clouds of kind '{found}'" if found else f"the name '{name}' does not say its kind"
    raise Invalid(
        why, hint=(f"did you mean {close}? " if close else "") + f"--kind is one of {', '.join(sorted(kinds))}"
    )


def _told(kind: str, words: Sequence[str]) -> dict[str, Any]:
    """Return what KEY=VALUE words say, by dotted key below the cloud. Raises: Invalid (unknown, or a secret)."""
    found: dict[str, Any] = {}
    for word, value in (pairs(words, "region=eu-west-1") if words else {}).items():
        key = _place(kind, word)
        hidden = key.startswith("credentials.") and not is_reference(value)
        if hidden or is_clear(tuple(key.split(".")), value):
            hint = f"{word}=env:NAME, file:PATH or keyring:SERVICE/USER says where it is, or: --credentials ask"
            raise Invalid(f"{word} is a secret and is not taken in clear", hint=hint)
        found[key] = value if is_reference(value) else typed(value)
    return found


def _place(kind: str, word: str) -> str:
    """Return the dotted key below a cloud that a word stands for. Raises: Invalid, naming the nearest."""
    options = (*known.EVERY_OPTION, *known.OPTIONS.get(kind, ()))
    if "." in word and word.partition(".")[0] in (*_SECTIONS, *options):
        return word
    if word in known.DEFAULT and (word == "region" or word not in options):
        return f"default.{word}"
    if word in options:
        return word
    if is_entry_credential(word) or word in known.CREDENTIALS.get(kind, ()):
        return f"credentials.{word}"
    if word in _ABOUT:
        return f"cm.{word}"
    if kind not in known.OPTIONS and "." not in word:
        return word
    close = nearest(word, (*options, *known.VM_DEFAULT))
    hint = f"did you mean {close}?" if close else f"for instance {', '.join((*options, 'image', 'flavor')[-6:])}"
    raise Invalid(f"clouds of kind '{kind}' are not told '{word}'", hint=hint)


def _first(ctx: Context, kind: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return defaults that let the first boot work."""
    first: dict[str, Any] = dict(_FIRST.get(kind, {}))
    if kind == "aws" and "default.location" not in given:
        first["default.region"] = origin.aws_region(ctx.config.environ, str(given.get("profile") or ""))
    return first


def _login(
    ctx: Context, name: str, kind: str, values: Mapping[str, Any], how: str | None
) -> tuple[dict[str, str], str]:
    """Return what is written about credentials, and a sentence about where they come from. Raises: Invalid."""
    if how and how != "ask":
        return origin.references(kind, how), ""
    if how == "ask":
        _ask(ctx, name, kind)
        return {}, "what you typed is kept outside of the configuration file"
    said = any(key in ("profile", "cloud") or key.startswith("credentials.") for key in values)
    if said or kind not in known.ASKED:
        return {}, ""
    found = origin.surroundings(kind, ctx.config.environ)
    if found:
        return {}, "it logs in with " + ", ".join(f"{key} ({place})" for key, place in found.items())
    if ctx.terminal and _interactive():
        _ask(ctx, name, kind)
        return {}, "what you typed is kept outside of the configuration file"
    return {}, f"no credentials were found: --credentials {origin.HOW}"


def _ask(ctx: Context, name: str, kind: str) -> None:
    """Ask for the secrets of a cloud on the terminal, unseen. Raises: Invalid (nobody to ask, nothing typed)."""
    names = origin.asked(kind)
    if not _interactive():
        raise Invalid("there is no terminal to ask for secrets on", hint=f"--credentials {origin.HOW}")
    from getpass import getpass

    typed_in = {each: getpass(f"{each}: ").strip() for each in names}
    if not all(typed_in.values()):
        raise Invalid("nothing was typed", hint=f"--credentials {origin.HOW}")
    _typed_in[name] = typed_in


def _interactive() -> bool:
    """Whether there is a person who can be asked."""
    return sys.stdin is not None and sys.stdin.isatty()


@action("cloud.add")
def _add(work: Work) -> Noun:
    ctx, name = work.ctx, work.step.target
    values = dict(work.step.params["values"])
    secrets = _typed_in.pop(name, None)
    if work.step.params["asked"] and not secrets:
        raise Invalid("what was typed is gone, since it was written down nowhere", hint=f"cms cloud add {name} again")
    if secrets:
        from cloudms.config import vault

        values |= {f"credentials.{key}": place for key, place in vault.keep(name, secrets).items()}
    for finding in ctx.config.change({f"cloud.{name}.{key}": value for key, value in values.items()}):
        ctx.warn(finding.message)
    made = shown(ctx, ctx.config.cloud(name))
    made = made if made.hint else made.with_(hint=f"cms cloud check {name}")
    ctx.catalog.put(
        "event", {}, events=[event(ctx, "cloud.add", made, f"a cloud of kind {made.provider}", work.operation)]
    )
    return made
