"""From what a person asked for to the documents of an experiment, with copies of the files that it needs.

The files are copied when the experiment is made: what is edited on this machine afterwards changes no task of it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cloudms import names, paths
from cloudms.context import Context
from cloudms.errors import Exists, Invalid, NoCapacity
from cloudms.jobs import parameters, store
from cloudms.jobs.reading import read
from cloudms.jobs.spec import Archive, Boot, Spec, Transfer
from cloudms.model import Experiment, Task

_MOST_NAMES = 10_000


def asked(file: Path, wishes: Mapping[str, Any]) -> Spec:
    """Return what a file and the options of a command ask for.

    Parameters: `wishes`, name, group, size, cloud, image, flavor, keep, engine, repeats and `set` (parameters), those
    that are given. Raises: ConfigError (the file), Invalid (options that cannot be together).
    """
    spec = read(file, sent=file.is_relative_to(paths.home() / "uploads"))
    spec = parameters.chosen(spec, wishes.get("set") or {})
    plain = {key: wishes[key] for key in ("engine", "repeats") if wishes.get(key) is not None}
    if wishes.get("name"):
        plain["name"] = names.valid(wishes["name"])
    spec = _placed(spec.with_(**plain), wishes)
    total = parameters.count(spec)
    if not 1 <= total <= parameters.MOST:
        raise Invalid(f"these are {total} tasks; an experiment has 1 to {parameters.MOST}", hint="choose less repeats")
    return spec


def _placed(spec: Spec, wishes: Mapping[str, Any]) -> Spec:
    """Return it with the nodes that were asked for, which replace those of the file. Raises: Invalid."""
    if wishes.get("size") is not None and wishes["size"] < 1:
        raise Invalid(f"--size {wishes['size']} is no number of nodes", hint="for instance --size 3")
    booted = {key: wishes[key] for key in ("size", "cloud", "image", "flavor", "keep") if wishes.get(key)}
    if wishes.get("group"):
        if booted:
            word = next(iter(booted))
            raise Invalid(f"--group and --{word} exclude each other", hint="--group runs on nodes that are there")
        return spec.with_(group=wishes["group"], boot=None)
    if booted:
        base = spec.boot or Boot(size=0)
        spec = spec.with_(group="", boot=base.with_(**booted))
    if spec.boot and spec.boot.size < 1:
        raise Invalid("how many nodes are to be booted is not said", hint="--size 3")
    if spec.boot is None and not spec.group:
        raise Invalid("where is it to run?", hint="--group NAME, or --size 3 boots nodes for it and deletes them")
    return spec


def free_name(ctx: Context, name: str, *, exact: bool) -> str:
    """Return the name, or with a number where an experiment has it already. Raises: Exists (`exact`)."""
    taken = ctx.catalog.get("experiment", name) is not None
    if not taken:
        return name
    if exact:
        raise Exists(f"there is an experiment '{name}' already", hint=f"cms experiment delete {name}, or another name")
    tries = (f"{name[:56]}-{number}" for number in range(2, _MOST_NAMES))
    found = next((word for word in tries if ctx.catalog.get("experiment", word) is None), None)
    if found is None:
        raise Exists(f"no free name follows '{name}'", hint="--name NAME")
    return found


def experiment_of(ctx: Context, spec: Spec, token: str = "") -> Experiment:
    """Return the document of an experiment that nothing was done for yet."""
    return Experiment(
        name=spec.name,
        id=token,
        labels=spec.labels,
        description=spec.description,
        input=tuple(each.target for each in spec.inputs),
        output=spec.outputs,
        commands=spec.commands,
        spec=spec.to_document(),
        group=spec.group,
        engine=spec.engine,
        tasks=parameters.count(spec),
        owner=ctx.owner,
        created=ctx.clock.now(),
        folder=str(store.folder_of(spec.name)),
    )


def tasks_of(experiment: Experiment) -> list[Task]:
    """Return the documents of an experiment's tasks, none of them begun."""
    return [
        Task(
            name=store.task_name(experiment.name, case.number),
            experiment=experiment.name,
            number=case.number,
            params=case.params,
            repeat=case.repeat,
            labels=experiment.labels,
        )
        for case in parameters.tasks_of(Spec.from_document(experiment.spec))
    ]


def write(ctx: Context, spec: Spec, token: str, *, exact: bool) -> Experiment:
    """Write an experiment, its tasks and copies of its files, under the first free name, and return it.

    Parameters: `token`, what makes a repetition find what an earlier attempt wrote. Raises: Exists, NoCapacity.
    """
    while True:
        name = free_name(ctx, spec.name, exact=exact)
        kept, digest = _kept(spec.with_(name=name), token)
        experiment = experiment_of(ctx, kept, token).with_(digest=digest)
        if store.create(ctx, experiment, tasks_of(experiment)):
            return experiment
        shutil.rmtree(_copies(name, token), ignore_errors=True)  # another process has just taken the name


def complete(ctx: Context, experiment: Experiment) -> None:
    """Write those tasks that a process which was killed has left out."""
    if experiment.tasks and ctx.catalog.get("task", store.task_name(experiment.name, experiment.tasks)) is None:
        store.create(ctx, experiment, tasks_of(experiment))


def _copies(name: str, token: str) -> Path:
    return store.folder_of(name) / f"files-{token[:12]}"


def _kept(spec: Spec, token: str) -> tuple[Spec, str]:
    """Return a specification whose files are copies, and the digest of it and of their content.

    Raises: NoCapacity (the disk), Invalid (a file that cannot be read).
    """
    folder = _copies(spec.name, token)
    digest = hashlib.sha256()

    def kept(number: int, thing: Transfer | Archive) -> Any:
        place = folder / f"{number:04d}" / Path(thing.source).name
        _copy(Path(thing.source), place)
        for part in _contents(place):
            digest.update(part)
        return thing.with_(source=str(place))

    numbers = iter(range(1, 1_000_000))
    inputs = tuple(kept(next(numbers), each) for each in spec.inputs)
    files = tuple(kept(next(numbers), each) for each in spec.setup.files)
    archives = tuple(kept(next(numbers), each) if each.source.startswith("/") else each for each in spec.setup.archives)
    plain = spec.with_(name="").to_document()
    for section in (plain, plain["setup"]):
        for name in ("inputs", "files", "archives"):
            for each in section.get(name, ()):
                each["source"] = Path(each["source"]).name if each["source"].startswith("/") else each["source"]
    digest.update(json.dumps(plain, sort_keys=True).encode())
    return spec.with_(inputs=inputs, setup=spec.setup.with_(files=files, archives=archives)), digest.hexdigest()


def _copy(source: Path, place: Path) -> None:
    """Copy a file or a folder with what its links lead to. Raises: NoCapacity, Invalid."""
    paths.private(place.parent)
    try:
        if source.is_dir():
            shutil.copytree(source, place, dirs_exist_ok=True)
        else:
            shutil.copy2(source, place)
    except (OSError, shutil.Error) as problem:
        why = getattr(problem, "strerror", None) or "a file in it cannot be read"
        if getattr(problem, "errno", None) == 28:  # ENOSPC
            raise NoCapacity(f"{source} cannot be copied to {place.parent}: {why}", hint="free some space") from None
        raise Invalid(f"{source} cannot be copied: {why}", hint="check the files and links in it") from None


def _contents(place: Path) -> Iterator[bytes]:
    """Yield what a file or folder is made of: names, whether a file can be executed, and content."""
    for file in sorted(place.rglob("*")) if place.is_dir() else [place]:
        if file.is_file():
            yield f"\0{file.relative_to(place.parent)}\0{file.stat().st_mode & 0o100}\0".encode(
                "utf-8", "surrogatepass"
            )
            with file.open("rb") as opened:
                while part := opened.read(1 << 20):
                    yield part
