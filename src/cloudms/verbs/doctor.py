"""What is wrong with this installation, and what mends it."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Annotated

from cloudms import __version__, paths, registry
from cloudms.context import Context
from cloudms.engine.operation import observed
from cloudms.errors import CloudmsError, ConfigError, NotReady
from cloudms.model import Check, CloudInfo, Noun, Operation, OperationState
from cloudms.record import Record
from cloudms.verb import LOCAL, Doc, verb
from cloudms.verbs.cloud.look import check as check_clouds
from cloudms.verbs.cloud.look import list_ as list_clouds
from cloudms.verbs.config import findings

_GIB = 1024**3
_WARN_FREE, _FAIL_FREE = 5 * _GIB, _GIB // 2
"""Bytes free for images and the catalog below which is warned, and below which the check fails."""


class Found(Record):
    """What one look found, and the repair that mends it, where one is safe; a repair returns what it did."""

    check: Check
    repair: Callable[[], str] | None = None


Look = Callable[[Context], Iterable[Found]]


@verb("doctor", streams=True, doors=LOCAL, columns=Check.columns, example="cms doctor --fix")
def doctor(
    ctx: Context, *, fix: Annotated[bool, Doc("do the repairs that are safe, and say what was done")] = False
) -> Iterator[Check]:
    """Look at everything cloudms needs, and say for each thing what mends it.

    Files, configuration, catalog, plug-ins, programs, Slurm, disk space, the hypervisor of this machine, and every
    active cloud. Nothing is changed without --fix, which sets modes of files and what the hypervisor's checks name
    (missing system packages are installed, with sudo where needed). Exit code 0 when nothing fails, else 6.
    """
    failed, seen = [], 0
    for name, look in _LOOKS:
        for found in _mended(ctx, name, look) if fix else _safely(ctx, name, look):
            seen += 1
            failed += [found] if found.check.state == "fail" else []
            yield found.check
    if failed:
        names = [found.check.name for found in failed]
        mendable = not fix and any(found.repair for found in failed)
        raise NotReady(
            f"{len(failed)} of {seen} checks failed: {', '.join(names)}",
            hint="cms doctor --fix mends what it can" if mendable else failed[0].check.hint,
            details={"failed": names},
        )


def _safely(ctx: Context, name: str, look: Look) -> Iterator[Found]:
    """Yield what a look finds; one that cannot even look has failed."""
    try:
        yield from look(ctx)
    except CloudmsError as error:
        if isinstance(error, ConfigError) and name != "config":
            yield _warn(name, "not looked at: the configuration cannot be read", "cms config check")
        else:
            yield _fail(name, error.message, error.hint)


def _mended(ctx: Context, name: str, look: Look) -> Iterator[Found]:
    """Do the repairs of a look, look again, and yield what is so now and what was done."""
    done: dict[str, str] = {}
    problems: dict[str, str] = {}
    found = list(_safely(ctx, name, look))
    for each in found:
        if each.repair and each.check.state != "ok":
            try:
                done[each.check.name] = each.repair()
            except CloudmsError as error:
                problems[each.check.name] = error.message
    for each in list(_safely(ctx, name, look)) if done else found:
        check = each.check.with_(fixed=done.get(each.check.name, ""))
        if check.fixed:
            check = check.with_(message=f"{check.message} (repaired: {check.fixed})")
        if check.name in problems:
            check = check.with_(message=f"{check.message}; the repair failed: {problems[check.name]}")
        yield each.with_(check=check)


def _ok(name: str, message: str) -> Found:
    return Found(check=Check(name=name, message=message))


def _warn(name: str, message: str, hint: str, repair: Callable[[], str] | None = None) -> Found:
    return Found(check=Check(name=name, state="warn", message=message, hint=hint), repair=repair)


def _fail(name: str, message: str, hint: str, repair: Callable[[], str] | None = None) -> Found:
    return Found(check=Check(name=name, state="fail", message=message, hint=hint), repair=repair)


def _python(ctx: Context) -> Iterator[Found]:
    from cloudms.verbs.version import version

    extras: dict[str, bool] = version(ctx)["extras"]
    words = ", ".join(f"{name} {'installed' if there else 'missing'}" for name, there in extras.items())
    yield _ok("python", f"cloudms {__version__} on Python {sys.version.split()[0]}; optional parts: {words}")


def _extras(ctx: Context) -> Iterator[Found]:
    from cloudms.verbs.version import version

    there: dict[str, bool] = version(ctx)["extras"]
    for name in sorted(_needed(ctx)):
        if there.get(name) is False:
            yield _fail(f"extra {name}", f"an active cloud needs the optional part {name}", _pip(name))


def _needed(ctx: Context) -> set[str]:
    """Return the optional parts that the active clouds need; a cloud that cannot be loaded fails its own check."""
    needed = set()
    for info in list_clouds(ctx).items:
        with suppress(CloudmsError):
            needed |= {ctx.cloud_class(info.name).extra} if _is_active(info) else set()
    return needed - {""}


def _is_active(info: Noun) -> bool:
    return isinstance(info, CloudInfo) and info.state == "active"


def _pip(extra: str) -> str:
    return f'pip install "cloudms[{extra}]"'


def _files(ctx: Context) -> Iterator[Found]:
    """Whether what is private is private: the folder, keys, catalog, settings and configuration."""
    home = paths.home()
    if not home.is_dir():
        yield _ok("files", f"{home} is made when it is first needed")
        return
    if not os.access(home, os.R_OK | os.W_OK | os.X_OK):
        yield _fail("files", f"{home} is not yours to read and write", f"chown -R {os.geteuid()} {home}")
        return
    loose = [file for file in _private_files(ctx, home) if _open_to_others(file)]
    if not loose:
        yield _ok("files", f"{home} is readable by you alone")
        return
    shown = ", ".join(str(file) for file in loose[:3]) + (" …" if len(loose) > 3 else "")
    secret = [file for file in loose if file.parent == paths.keys() or file == ctx.config.path]
    report = _fail if secret else _warn
    hint = f"chmod go-rwx {' '.join(str(file) for file in loose[:3])}"
    yield report("files", f"others on this machine can read {shown}", hint, lambda: _closed(loose))


def _private_files(ctx: Context, home: Path) -> Iterator[Path]:
    yield home
    yield from sorted(file for file in home.iterdir() if file.suffix in (".sqlite", ".json") and file.is_file())
    keys = paths.keys()
    yield from sorted(file for file in keys.iterdir() if file.suffix not in (".pub", ".lock")) if keys.is_dir() else ()
    if ctx.config.path and ctx.config.path.is_file():
        yield ctx.config.path


def _open_to_others(file: Path) -> bool:
    return bool(stat.S_IMODE(file.stat().st_mode) & 0o077)


def _closed(files: Iterable[Path]) -> str:
    """Take the rights of others away. Raises: NotReady."""
    kept = list(files)
    try:
        for file in kept:
            file.chmod(stat.S_IMODE(file.stat().st_mode) & 0o700)
    except OSError as error:
        raise NotReady(f"{error.filename}: {error.strerror}", hint="do it as the owner") from None
    return f"took others' rights from {len(kept)} files"


def _config(ctx: Context) -> Iterator[Found]:
    levels: dict[str, list[str]] = {"error": [], "warning": [], "info": []}
    for finding in findings(ctx):
        levels[finding.level].append(f"{finding.place}: {finding.message}" if finding.place else finding.message)
    if levels["error"]:
        yield _fail("config", _first(levels["error"]), "cms config check")
    elif levels["warning"]:
        yield _warn("config", _first(levels["warning"]), "cms config check")
    else:
        yield _ok("config", f"{ctx.config.path or 'no file'}; clouds: {', '.join(ctx.config.by_name())}")


def _first(found: list[str]) -> str:
    return found[0] + (f" (and {len(found) - 1} more)" if len(found) > 1 else "")


def _catalog(ctx: Context) -> Iterator[Found]:
    ctx.catalog.counter("doctor", add=1)
    words = {"vm": "VMs", "image": "images", "operation": "operations", "event": "events"}
    counts = ", ".join(f"{ctx.catalog.count(kind)} {word}" for kind, word in words.items())
    yield _ok("catalog", f"can be read and written: {counts}")
    operations = (observed(Operation.from_document(row.document)) for row in ctx.catalog.find("operation"))
    broken = [operation.name for operation in operations if operation.state is OperationState.INTERRUPTED]
    if broken:
        yield _warn(
            "operations", f"interrupted: {', '.join(broken[:5])}", f"cms operation resume {broken[0]}, or cms sweep"
        )


def _plugins(ctx: Context) -> Iterator[Found]:
    installed, index = registry.plugins(), registry.index()
    for plugin in installed:
        if plugin.problems:
            yield _fail(f"plug-in {plugin.name}", plugin.broken, f"update it, or: pip uninstall {plugin.name}")
    if not any(plugin.problems for plugin in installed):
        kinds = ", ".join(sorted(index.families["cloudms.clouds"]))
        names = ", ".join(f"{plugin.name} {plugin.version}" for plugin in installed) or "none"
        yield _ok("plug-ins", f"{names}; {len(index.verbs)} commands; clouds of kind {kinds}")


def _programs(ctx: Context) -> Iterator[Found]:
    from shutil import which

    missing = [name for name in ("ssh", "ssh-keygen") if which(name) is None]
    if missing:
        yield _fail(
            "programs", f"{' and '.join(missing)} missing: VMs cannot be reached", "apt-get install openssh-client"
        )
    else:
        yield _ok("programs", "ssh and ssh-keygen are there")


def _slurm(ctx: Context) -> Iterator[Found]:
    """Slurm, which only clusters need, and the controllers of those that are on this machine."""
    from cloudms.cluster import daemons, store

    own = [cluster for cluster in store.every(ctx) if not cluster.ssh]
    missing = daemons.missing()
    if missing and own:
        names = ", ".join(cluster.name for cluster in own)
        yield _fail("slurm", f"{', '.join(missing)} missing, which {names} needs", daemons.how_to_get(missing))
        return
    if missing:
        text = f"{', '.join(missing)} not there, which only cms cluster create needs"
        yield Found(check=Check(name="slurm", message=text, hint=daemons.how_to_get(missing)))
        return
    yield _ok("slurm", f"{', '.join(daemons.PROGRAMS)} are there")
    for cluster in own:
        name = f"cluster {cluster.name}"
        if daemons.runs(store.place_of(cluster)):
            yield _ok(name, "its controller runs")
        else:
            yield _warn(name, "its controller does not run, and its jobs wait", f"cms cluster start {cluster.name}")


def _disk(ctx: Context) -> Iterator[Found]:
    from shutil import disk_usage

    home = paths.home()
    free = disk_usage(next(folder for folder in (home, *home.parents) if folder.exists())).free
    message = f"{free / _GIB:.1f} GiB free for {home}"
    if free < _WARN_FREE:
        report = _fail if free < _FAIL_FREE else _warn
        yield report("disk", message, f"free some; {_WARN_FREE // _GIB} GiB is comfortable")
    else:
        yield _ok("disk", message)


def _balancers(ctx: Context) -> Iterator[Found]:
    """Whether every balancer has what it needs, and runs; without any, what groups cannot have yet."""
    from cloudms.balancers import store
    from cloudms.balancers.base import BalancerInfo

    made = store.every(ctx)
    if not made:
        try:
            store.opened(ctx, BalancerInfo(name="any")).check_installed()
        except NotReady as error:
            yield _warn("balancers", f"{error.message}: no group can have one", error.hint)
        else:
            yield _ok("balancers", f"{store.KIND} is installed; no group has one")
    for info in made:
        name, balancer = f"balancer {info.name}", store.opened(ctx, info)
        try:
            balancer.check_installed()
        except NotReady as error:
            yield _fail(name, error.message, error.hint)
            continue
        if balancer.is_up:
            yield _ok(name, "runs")
        else:
            yield _warn(name, "does not run", f"cms balancer start {info.name}")


def _hypervisors(ctx: Context) -> Iterator[Found]:
    """The checks of this machine for every active libvirt cloud."""
    hosts = [cloud for cloud in ctx.config.clouds() if cloud.active and cloud.kind == "libvirt"]
    if not hosts:
        return
    from cloudms.clouds.libvirt import diagnosis, host

    for cloud in hosts:
        for item in diagnosis.diagnose(str(cloud.option("uri") or host.default_uri()), clock=ctx.clock):
            check = Check(
                name=f"{cloud.name} {item.name}",
                cloud=cloud.name,
                state=item.state,
                message=item.message,
                hint=item.hint,
            )
            yield Found(check=check, repair=partial(diagnosis.fix, item) if item.fix else None)


def _clouds(ctx: Context) -> Iterator[Found]:
    """Whether every active cloud answers."""
    known = [info for info in list_clouds(ctx).items if isinstance(info, CloudInfo)]
    for info in known:
        if info.state == "unsupported":
            yield _warn(f"cloud {info.name}", info.reason, info.hint)
    active = [info.name for info in known if _is_active(info)]
    for answer in check_clouds(ctx, active).items if active else ():
        if isinstance(answer, CloudInfo):
            yield _answered(answer)
    if not active:
        yield _warn("clouds", "no cloud is active", "cms cloud list says why")


def _answered(info: CloudInfo) -> Found:
    name = f"cloud {info.name}"
    if info.state == "ok":
        version = f", version {info.version}" if info.version else ""
        return _ok(name, f"answers in {info.seconds or 0:.3f} s{version}")
    return _fail(name, info.reason, info.hint)


_LOOKS: tuple[tuple[str, Look], ...] = (
    ("python", _python),
    ("extras", _extras),
    ("files", _files),
    ("config", _config),
    ("catalog", _catalog),
    ("plug-ins", _plugins),
    ("programs", _programs),
    ("slurm", _slurm),
    ("disk", _disk),
    ("balancers", _balancers),
    ("hypervisor", _hypervisors),
    ("clouds", _clouds),
)
