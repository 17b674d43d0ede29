"""`cms experiment run`: from a file to tasks on nodes, watched until they have ended or left running by themselves."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from cloudms.clock import age
from cloudms.context import Context
from cloudms.engine import Plan, Work, action
from cloudms.engine.estimate import estimate, in_words
from cloudms.engine.plan import Left
from cloudms.jobs import asking, parameters, store
from cloudms.jobs.driving import begun
from cloudms.jobs.engines import engine_of
from cloudms.jobs.script import OWN, misspelled, shown
from cloudms.jobs.spec import Spec
from cloudms.model import Experiment, Step
from cloudms.verb import Doc, File, Names, Short, verb
from cloudms.verbs.experiment.look import SHOWN
from cloudms.verbs.experiment.wait import ended, left_running

_FEW = 5
"""How many tasks a plan shows."""


@verb("experiment", "run", changes=True, columns=SHOWN, example="cms experiment run fit.yaml --size 3 --set alpha=0.5")
def run(
    ctx: Context,
    file: Annotated[Path, Doc("YAML file that describes the experiment"), File()],
    *,
    name: Annotated[str | None, Doc("what to call it; without it the name in the file, or that with a number")] = None,
    group: Annotated[str | None, Doc("group of VMs to run on"), Short("g"), Names("group")] = None,
    size: Annotated[int | None, Doc("boot so many nodes for it, and delete them afterwards")] = None,
    cloud: Annotated[str | None, Doc("cloud of the nodes that are booted"), Names("cloud")] = None,
    image: Annotated[str | None, Doc("image of the nodes that are booted"), Names("image")] = None,
    flavor: Annotated[str | None, Doc("flavor of the nodes that are booted"), Names("flavor")] = None,
    keep: Annotated[bool, Doc("leave the nodes that were booted when it has ended")] = False,
    set: Annotated[dict[str, str] | None, Doc("fix a parameter to one value, name=value")] = None,  # noqa: A002 (the option's name)
    repeats: Annotated[int | None, Doc("how often each combination of parameters is run")] = None,
    engine: Annotated[Literal["ssh", "slurm"] | None, Doc("what runs the tasks")] = None,
    detach: Annotated[bool, Doc("start it and let it go on in the background"), Short("d")] = False,
) -> Plan:
    """Run the commands of a file as tasks, one for every combination of parameters and every repeat.

    The command waits and shows how far it is. Ctrl-C leaves the experiment running in the background:
    `cms experiment watch NAME` shows it again, `cms experiment cancel NAME` ends it. It ends with exit code 12 when
    tasks have failed; `cms experiment rerun NAME --failed` runs those again.
    """
    wishes = {
        "name": name, "group": group, "size": size, "cloud": cloud or (ctx.chosen_cloud if size else ""),
        "image": image, "flavor": flavor, "keep": keep, "set": set, "repeats": repeats, "engine": engine,
    }  # fmt: skip
    wishes = {key: value for key, value in wishes.items() if value or (value == 0 and value is not False)}
    spec = asking.asked(file, wishes)
    spec = spec.with_(name=asking.free_name(ctx, spec.name, exact=bool(name)))
    for word, near in misspelled(spec.commands, (*spec.parameters, *OWN)):
        ctx.warn(f"{{{word}}} is no parameter and stays as it is; did you mean {{{near}}}?")
    params: dict[str, Any] = {"file": str(file.absolute()), "wishes": wishes, "token": secrets.token_hex(16)}
    params |= {"detach": True} if detach else {}
    steps = engine_of(asking.experiment_of(ctx, spec)).plan(ctx, asking.experiment_of(ctx, spec))
    return Plan(
        verb="experiment run",
        summary=f"run {spec.name}: {_count(parameters.count(spec), 'task')} on {_where(spec)}",
        steps=(Step(action="experiment.run", cloud="", target=spec.name, params=params),),
        notes=_notes(ctx, spec, steps),
        shows=_shows(spec, steps),
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _where(spec: Spec) -> str:
    if spec.boot is None:
        return f"group {spec.group}"
    words = [_count(spec.boot.size, "new node")]
    words += [f"of {spec.boot.image}"] if spec.boot.image else []
    words += [f"on {spec.boot.cloud}"] if spec.boot.cloud else []
    return " ".join(words)


def _notes(ctx: Context, spec: Spec, steps: Sequence[Step]) -> tuple[str, ...]:
    """Return what is said before anything is done: what becomes of the nodes, and what they cost."""
    if spec.boot is None:
        return ()
    alike = Counter((step.cloud, str(step.params.get("flavor") or "")) for step in steps if step.action == "vm.boot")
    costs = [in_words(ctx, estimate(ctx, *what), count) for what, count in alike.items()]
    kept = "the nodes stay when it has ended" if spec.boot.keep else "the nodes are deleted when it has ended"
    return (kept, *(text for texts in costs for text in texts))


def _shows(spec: Spec, steps: Sequence[Step]) -> dict[str, str]:
    """Return the parts of the plan that a dry run shows: nodes, set-up and tasks."""
    parts = {"nodes": "\n".join(_line(step) for step in steps), "set-up": _setup(spec), "tasks": _tasks(spec)}
    return {title: text for title, text in parts.items() if text}


def _line(step: Step) -> str:
    given = " ".join(f"{key}={value}" for key, value in step.params.items() if value not in ("", None, {}, [], ()))
    return "  ".join(word for word in (step.target, step.action, step.cloud, given) if word)


def _setup(spec: Spec) -> str:
    setup = spec.setup
    lines = {
        "packages": " ".join(setup.packages),
        "requirements": " ".join(setup.requirements),
        "git": " ".join(f"{each.url}{f'@{each.ref}' if each.ref else ''}" for each in setup.git),
        "archives": " ".join(each.source for each in setup.archives),
        "files": " ".join(each.target for each in setup.files),
        "inputs": " ".join(each.target for each in spec.inputs),
        "commands": "; ".join(setup.commands),
    }
    return "\n".join(f"{what}: {text}" for what, text in lines.items() if text)


def _tasks(spec: Spec) -> str:
    cases = [case for _, case in zip(range(_FEW), parameters.tasks_of(spec), strict=False)]
    lines = []
    for case in cases:
        own = {"task": store.task_name(spec.name, case.number), "repeat": case.repeat, "number": case.number}
        text = " && ".join(" ".join(shown(command, {**own, **case.params}).split()) for command in spec.commands)
        lines.append(f"{case.number:04d}  {text}")
    left = parameters.count(spec) - len(cases)
    limits = [f"each at most {age(spec.timeout)}"] * (spec.timeout > 0)
    limits += [f"each tried {spec.retries + 1} times at most"] * (spec.retries > 0)
    return "\n".join([*lines, *[f"and {left} more"] * (left > 0), *limits])


def _written(ctx: Context, steps: Sequence[Step]) -> list[Step]:
    """Write the experiments of steps with copies of their files, before anything is called."""
    return [_write(ctx, step) for step in steps]


def _write(ctx: Context, step: Step) -> Step:
    if _has(ctx, step):
        return step
    params = step.params
    spec = asking.asked(Path(params["file"]), params["wishes"])
    made = asking.write(ctx, spec, params["token"], exact="name" in params["wishes"])
    return step.with_(target=made.name)


def _has(ctx: Context, step: Step) -> bool:
    """Whether an earlier attempt has written the experiment."""
    stored = ctx.catalog.get("experiment", step.target)
    return stored is not None and stored.document.get("id") == step.params["token"]


@action("experiment.run", prepare=_written)
def _run(work: Work) -> Experiment | Left:
    """Start the experiment of a step, and see it through unless it is to go on by itself."""
    experiment = store.find(work.ctx, work.step.target)
    work.report("starting")
    experiment = begun(work.ctx, experiment)
    if work.step.params.get("detach"):
        return left_running(work.ctx, experiment)
    return ended(work, experiment)
