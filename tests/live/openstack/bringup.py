"""The lab from nothing to a cloud that answers, in the order in which its parts need each other."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from urllib.error import HTTPError, URLError

from tests.live.openstack import accounts, commands, packages, processes, schema, settings
from tests.live.openstack.commands import APIS, BASE, DAEMONS
from tests.live.openstack.places import (
    ETC,
    FOLDER,
    INSIDE,
    LIB,
    LOG,
    ONE,
    PORTS,
    RUN,
    STATE,
    TWO,
    VENV,
    Region,
    tool,
    url,
)
from tests.live.openstack.settings import SHARED

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def services(region: Region) -> list[str]:
    """Return the names of what is started for a region alone; the second has no volumes."""
    names = [name for name in (*APIS, *DAEMONS) if region is ONE or not name.startswith("cinder")]
    return [name if name in SHARED else region(name) for name in names if region is ONE or name not in SHARED]


def everything() -> list[str]:
    """Return the names of all services, those first that the others do not need."""
    return [*services(TWO), *reversed(services(ONE)), *reversed(BASE)]


def runs(region: Region = ONE) -> bool:
    """Whether all of a region runs."""
    return all(map(processes.pid_of, (*BASE, *SHARED, *services(region))))


@contextmanager
def alone() -> Iterator[None]:
    """Let no other process start or end services meanwhile."""
    RUN.mkdir(parents=True, exist_ok=True)
    with (RUN / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def up(*, two: bool = False) -> bool:
    """Start what does not run, and tell whether nothing ran. Raises: Unavailable, Broken."""
    with alone():
        fresh = not any(map(processes.pid_of, everything()))
        if fresh and not (STATE / "done-hosts").exists():  # another attempt was broken off
            _forget()
        packages.provide()
        _folders()
        _base()
        for region in (ONE, TWO) if two else (ONE,):
            _region(region)
    return fresh


def down(*, wipe: bool = False) -> None:
    """End what was started, and forget what was made, except the packages."""
    if not FOLDER.is_dir():
        return
    with alone():
        names = everything()
        processes.stop([name for name in names if name not in BASE])
        processes.stop([name for name in BASE if name != "epmd"])
        processes.stop(["epmd"])
        if wipe:
            _forget()


def _forget() -> None:
    for folder in (STATE, ETC, LIB):
        shutil.rmtree(folder, ignore_errors=True)


def again(name: str) -> None:
    """Start a service that was ended, and wait until it answers."""
    region = TWO if name.endswith("2") else ONE
    _start(name, region)
    _await(name, region)


def _folders() -> None:
    """Put the pretended drivers where the services find them: nova looks in its own package only, neutron asks the
    descriptions of installed packages for a name.
    """
    for folder in (ETC, STATE, RUN, LOG, LIB / "lab-1.dist-info"):
        folder.mkdir(parents=True, exist_ok=True)
    for file in INSIDE.glob("*.py"):
        shutil.copy(file, LIB)
    shutil.copy(INSIDE / "lab_compute.py", next(VENV.glob("lib/python3*/site-packages/nova/virt")) / "lab.py")
    about = LIB / "lab-1.dist-info"
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: lab\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[neutron.ml2.mechanism_drivers]\nlab = lab_network:Driver\n")


def _base() -> None:
    """Start the database, which need not survive a power cut, the cache and the message bus."""
    if not (STATE / "mysql" / "mysql").is_dir():
        schema.install()
    for name in BASE:
        _start(name, ONE)
    processes.wait("mariadb", lambda: schema.sql("select 1"))


def _region(region: Region) -> None:
    env = commands.environment(region)
    for program in settings.PROGRAMS:
        if region is ONE or program not in (*SHARED, "cinder"):
            settings.write(program, region)
    _once(f"schema{region.suffix}", lambda: schema.make(region, env))
    names = services(region)
    served = [name for name in names if "-" not in name]
    for name in served:
        _start(name, region)
    for name in served:
        _await(name, region)
    _once(f"accounts{region.suffix}", lambda: accounts.seed(region))
    accounts.write_clouds()
    _daemons([name for name in names if "-" in name], region)
    _once(f"hosts{region.suffix}", lambda: schema.hosts(region, env))


def _daemons(names: list[str], region: Region) -> None:
    """Start what listens to messages; nova-compute gives up when nobody answers, so its conductor comes first."""
    _await("rabbit", region)
    later = [name for name in names if name != region("nova-compute")]
    for name in later:
        _start(name, region)
    _await(region("nova-conductor"), region)
    _start(region("nova-compute"), region)
    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(lambda name: _await(name, region), names))


def _once(name: str, action: Callable[[], None]) -> None:
    mark = STATE / f"done-{name}"
    if not mark.exists():
        action()
        mark.touch()


def _start(name: str, region: Region) -> None:
    if name == "rabbit" and not processes.pid_of(name):
        shutil.rmtree(STATE / "rabbit", ignore_errors=True)  # messages to those who are gone are of no use
    argv, more = commands.command(name, region)
    processes.start(name, argv, {**commands.environment(region), **more})


def _await(name: str, region: Region) -> None:
    """Wait until a service does what it is there for."""
    plain = name.removesuffix(region.suffix)
    if name == "mariadb":
        processes.wait(name, lambda: schema.sql("select 1"))
    elif plain in APIS:
        processes.wait(name, lambda: _answers(name))
    elif name == "rabbit":
        _listening(region)
    elif plain in DAEMONS:
        queue = plain.removeprefix("nova-") if plain.startswith("nova") else plain
        ends = {"compute": f".{region('lab')}", "cinder-volume": f".{region('lab')}@lab"}
        _listening(region, queue + ends.get(queue, ""))


def _answers(name: str) -> bool:
    """Whether it speaks HTTP; what it says of the address does not matter."""
    try:
        DIRECT.open(url(name), timeout=5).close()
    except HTTPError:
        return True
    except (URLError, OSError):
        return False
    return True


def _listening(region: Region, *names: str) -> None:
    """Wait until the bus is there, and somebody listens to these queues."""
    argv = [
        tool("python"), str(LIB / "queues.py"), f"127.0.0.1:{PORTS['rabbit']}", region.vhost,
        str(processes.PATIENCE), *names,
    ]  # fmt: skip
    done = subprocess.run(argv, env=commands.environment(region), capture_output=True, text=True, check=False)
    if done.returncode:
        raise processes.Broken(f"{done.stderr.strip()}, see {LOG}")
