"""Settings that are remembered: the default cloud, image and flavor, when to ask the clouds, the counter of names."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from cloudms.config import Config, Counter, Secret
from cloudms.context import Context, not_found
from cloudms.engine import Listing, Plan, Work, action
from cloudms.engine.ceilings import number
from cloudms.engine.refresh import event, wants_fresh
from cloudms.errors import Invalid
from cloudms.model import Noun, Setting, Step
from cloudms.verb import LOCAL, Doc, Names, verb

OfCloud = Annotated[
    str | None, Doc("cloud whose default it is (image, flavor …); the default cloud otherwise"), Names("cloud")
]
_SHOWN = ("default.cloud", "default.group", "default.experiment", "default.vm", "name.schema", "refresh")
_PER_CLOUD = ("image", "flavor", "location", "login", "network", "key", "ttl", "wait")
_one_at_a_time = threading.Lock()


@verb("default", columns=Setting.columns, example="cms default cloud")
def default(
    ctx: Context,
    key: Annotated[str | None, Doc("only this one: cloud, image, refresh, default.group …"), Names("setting")] = None,
    *,
    cloud: OfCloud = None,
) -> Listing:
    """Show the settings in effect and where each comes from, or one of them.

    A variable CLOUDMS_… comes before `cms set`, that before the configuration file, that before what is built in.
    """
    where = cloud or ctx.chosen_cloud or ctx.config.default_cloud()
    if key:
        return Listing(items=(_known(ctx.config, ctx.config.key_for(key, where)),))
    ctx.config.cloud(where)
    keys = [*_SHOWN, *(ctx.config.key_for(word, where) for word in _PER_CLOUD), *sorted(ctx.config.settings.values())]
    found = (_setting(ctx.config, name) for name in dict.fromkeys(keys))
    return Listing(items=tuple(setting for setting in found if setting.value is not None))


def _setting(config: Config, key: str) -> Setting:
    return Setting(name=key, value=shown(config.get(key)), source=config.source(key))


def shown(value: Any) -> Any:
    """Return a value of the configuration as plain data, secrets as their reference or ******."""
    if isinstance(value, Secret):
        return value.shown()
    if isinstance(value, Mapping):
        return {str(key): shown(item) for key, item in value.items()}
    return [shown(item) for item in value] if isinstance(value, list) else value


def _known(config: Config, key: str) -> Setting:
    """Return a setting that has a value. Raises: NotFound."""
    found = _setting(config, key)
    if found.value is None:
        raise not_found("setting", key, [*_SHOWN, *config.settings.values()], f"cms set {key}=VALUE gives it a value")
    return found


@verb("set", changes=True, doors=LOCAL, columns=Setting.columns, example="cms set cloud=local")
def set_(
    ctx: Context,
    words: Annotated[
        list[str], Doc("KEY=VALUE; an empty value forgets it; the word 'default' may come first"), Names("setting")
    ],
    *,
    cloud: OfCloud = None,
) -> Plan:
    """Remember settings for all later commands: cms set cloud=local image=debian.

    `cloud` is the default cloud; image, flavor, login, location, network and key are those of a cloud. What the
    configuration file says is kept and comes back when the setting is forgotten.
    """
    given = words[1:] if words[0] == "default" and len(words) > 1 else words
    changes = {_key(ctx, key, cloud): value for key, value in pairs(given, "cms set cloud=local").items()}
    wanted = changes.get("default.cloud")
    if wanted:
        ctx.config.cloud(wanted)
    if changes.get("refresh", "on").lower() not in ("on", "off", ""):
        raise Invalid(f"refresh is on or off, not '{changes['refresh']}'", hint="cms refresh on")
    for key, value in changes.items():
        if key.endswith((".max_vms", ".max_price_per_hour")) and value:
            number(key, value)
    summary = ", ".join(f"{key} = {value}" if value else f"forget {key}" for key, value in changes.items())
    steps = tuple(Step(action="set", cloud="", target=key, params={"value": value}) for key, value in changes.items())
    return Plan(verb="set", summary=f"remember {summary}", steps=steps)


def pairs(words: Sequence[str], example: str) -> dict[str, str]:
    """Return the keys and values of `KEY=VALUE …`, or of the two words `KEY VALUE`. Raises: Invalid."""
    if len(words) == 2 and "=" not in words[0]:
        return {words[0]: words[1]}
    for word in words:
        if "=" not in word or word.startswith("="):
            raise Invalid(f"'{word}' is not KEY=VALUE", hint=f"for instance {example}")
    return {key: value for key, _, value in (word.partition("=") for word in words)}


def _key(ctx: Context, word: str, cloud: str | None) -> str:
    """Return the full key of a word, refused when it cannot be remembered. Raises: Invalid, NotFound (the cloud)."""
    from cloudms.config.settings import checked

    where = ctx.config.cloud(cloud or ctx.chosen_cloud or None).name
    return checked(ctx.config.key_for(word, where))


@action("set")
def _set(work: Work) -> Noun:
    ctx, key, value = work.ctx, work.step.target, str(work.step.params["value"])
    with _one_at_a_time:
        if value:
            ctx.config.put(key, value)
        else:
            ctx.config.drop(key)
        found = _setting(ctx.config, key)
    text = f"set to {value}" if value else "forgotten"
    ctx.catalog.put("event", {}, events=[event(ctx, "set", found, text, work.operation)])
    return found


@verb("refresh", changes=True, doors=LOCAL, columns=Setting.columns, example="cms refresh off")
def refresh(
    ctx: Context,
    state: Annotated[Literal["on", "off"] | None, Doc("whether lists ask the clouds; shown when left out")] = None,
) -> Plan | Listing:
    """Show or say whether lists ask the clouds (on) or show what the catalog knows, with its age (off).

    `--refresh` and `--cached` decide it for one command.
    """
    if state is None:
        asks = "on" if wants_fresh(ctx, cached=False, refresh=False) else "off"
        return Listing(items=(_setting(ctx.config, "refresh").with_(value=asks),))
    steps = (Step(action="set", cloud="", target="refresh", params={"value": state}),)
    return Plan(verb="refresh", summary=f"remember refresh = {state}", steps=steps)


@verb("counter", changes=True, doors=LOCAL, columns=Setting.columns, example="cms counter --add 1")
def counter(
    ctx: Context,
    name: Annotated[str, Doc("name of the counter; 'counter' numbers the VMs")] = "counter",
    *,
    add: Annotated[int | None, Doc("count up by so many, down when negative")] = None,
    set: Annotated[int | None, Doc("number to go on from")] = None,  # noqa: A002 (the option's name)
) -> Plan | Listing:
    """Show the counters that number new names, or change one."""
    known = Counter(clock=ctx.clock).values()
    if add is None and set is None:
        shown = {"counter": known.get("counter", Counter(clock=ctx.clock).get()), **known}
        chosen = shown if name == "counter" else {name: Counter(clock=ctx.clock).get(name)}
        return Listing(items=tuple(_count(key, value) for key, value in chosen.items()))
    if add is not None and set is not None:
        raise Invalid("--add and --set exclude each other", hint="give one of them")
    if (set or 0) < 0:
        raise Invalid(f"a counter cannot be {set}", hint="give a whole number, 0 or more")
    now = Counter(clock=ctx.clock).get(name)
    value = set if set is not None else max(now + (add or 0), 0)
    return Plan(
        verb="counter",
        summary=f"bring the counter {name} from {now} to {value}",
        steps=(Step(action="counter", cloud="", target=name, params={"value": value}),),
    )


def _count(name: str, value: int) -> Setting:
    return Setting(name=name, value=value, source="counter.yaml")


@action("counter")
def _counter(work: Work) -> Noun:
    name = work.step.target
    return _count(name, Counter(clock=work.ctx.clock).set(name, work.step.params["value"]))
