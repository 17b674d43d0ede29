"""Databases of the lab, and the tables that each program makes in them."""

from __future__ import annotations

import getpass
import grp
import os
import subprocess
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from tests.live.openstack import settings
from tests.live.openstack.places import LOG, ONE, PASSWORD, SOCKET, STATE, Region, tool, url
from tests.live.openstack.processes import Broken

DATABASES = ("placement", "nova", "nova_api", "nova_cell0", "neutron")


def sql(text: str) -> bool:
    """Run SQL and tell whether it worked."""
    argv = ["mariadb", "--no-defaults", "-uroot", f"--socket={SOCKET}", "-e", text]
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0


def install() -> None:
    """Make the data folder of MariaDB."""
    argv = [
        "mariadb-install-db", "--no-defaults", f"--datadir={STATE / 'mysql'}", "--skip-test-db",
        f"--user={getpass.getuser()}", "--auth-root-authentication-method=normal",
    ]  # fmt: skip
    _run("database", argv, dict(os.environ))


def make(region: Region, env: Mapping[str, str]) -> None:
    """Make the tables of a region anew, those of all programs at once. Raises: Broken."""
    names = [*((*settings.SHARED, "cinder") if region is ONE else ()), *(region(name) for name in DATABASES)]
    for name in names:
        if not sql(f"drop database if exists {name}; create database {name} character set utf8mb3"):
            raise Broken(f"no database {name}, see {LOG / 'mariadb.log'}")
    tasks: list[Callable[[Region, Mapping[str, str]], None]] = [_neutron, _nova, _placement]
    tasks += [_keystone, _cinder, _glance] if region is ONE else []
    with ThreadPoolExecutor(len(tasks)) as pool:
        for done in [pool.submit(task, region, env) for task in tasks]:
            done.result()


def hosts(region: Region, env: Mapping[str, str]) -> None:
    """Let nova find its compute host."""
    _manage("nova", region, env, "cell_v2", "discover_hosts")


def _keystone(region: Region, env: Mapping[str, str]) -> None:
    owner = ("--keystone-user", getpass.getuser(), "--keystone-group", grp.getgrgid(os.getgid()).gr_name)
    _manage("keystone", region, env, "db_sync")
    _manage("keystone", region, env, "fernet_setup", *owner)
    _manage("keystone", region, env, "credential_setup", *owner)
    _manage(
        "keystone", region, env, "bootstrap", "--bootstrap-password", PASSWORD, "--bootstrap-region-id", region.name,
        "--bootstrap-public-url", f"{url('keystone')}/v3",
    )  # fmt: skip


def _glance(region: Region, env: Mapping[str, str]) -> None:
    _manage("glance", region, env, "db_sync")


def _placement(region: Region, env: Mapping[str, str]) -> None:
    _manage("placement", region, env, "db", "sync")


def _neutron(region: Region, env: Mapping[str, str]) -> None:
    _manage("neutron", region, env, "upgrade", "heads", command="neutron-db-manage")


def _cinder(region: Region, env: Mapping[str, str]) -> None:
    _manage("cinder", region, env, "db", "sync")


def _nova(region: Region, env: Mapping[str, str]) -> None:
    _manage("nova", region, env, "api_db", "sync")
    zero = settings.database(region("nova_cell0"))
    _manage("nova", region, env, "cell_v2", "map_cell0", "--database_connection", zero)
    _manage("nova", region, env, "db", "sync")
    _manage("nova", region, env, "cell_v2", "create_cell", "--name", "cell1")


def _manage(program: str, region: Region, env: Mapping[str, str], *words: str, command: str = "") -> None:
    """Run a program's own tool; some would take a database of their own if they were not told of the settings."""
    argv = [tool(command or f"{program}-manage"), "--config-file", str(settings.file_of(program, region)), *words]
    _run(f"schema-{region(program)}", argv, env)


def _run(log: str, argv: list[str], env: Mapping[str, str]) -> None:
    file = LOG / f"{log}.log"
    with file.open("ab") as out:
        done = subprocess.run(argv, env=dict(env), stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=False)
    if done.returncode:
        raise Broken(f"{argv[0]} failed, see {file}")
