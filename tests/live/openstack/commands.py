"""What is started as which service, and what it sees of its surroundings."""

from __future__ import annotations

import os
from collections.abc import Mapping

from tests.live.openstack import accounts, packages, settings
from tests.live.openstack.places import ETC, INSIDE, LIB, LOG, PORTS, SOCKET, STATE, VENV, Region, tool

Command = tuple[list[str], Mapping[str, str]]

BASE = ("mariadb", "memcached", "epmd", "rabbit")
APIS = {
    "keystone": "keystone.wsgi.api", "placement": "placement.wsgi.api", "neutron": "neutron.wsgi.api",
    "nova": "nova.wsgi.osapi_compute", "glance": "glance.wsgi.api", "cinder": "cinder.wsgi.api",
}  # fmt: skip
DAEMONS = ("nova-conductor", "nova-scheduler", "nova-compute", "cinder-scheduler", "cinder-volume")


def environment(region: Region) -> dict[str, str]:
    """Return what a service sees: nothing of the caller's accounts, proxies or tests."""
    folders = {f"OS_{name.upper()}_CONFIG_DIR": str(ETC / _own(name, region)) for name in settings.PROGRAMS}
    return {
        "PATH": f"{VENV / 'bin'}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(STATE),
        "LANG": "C.UTF-8", "PYTHONPATH": str(LIB), "PYTHONWARNINGS": "ignore",
        "OS_NEUTRON_CONFIG_FILES": "neutron.conf", **folders,
    }  # fmt: skip


def _own(name: str, region: Region) -> str:
    return name if name in settings.SHARED else region(name)


def command(name: str, region: Region) -> Command:
    """Return what runs as this service, and the variables that it needs beside the common ones."""
    if name in BASE:
        return {"mariadb": _mariadb, "memcached": _memcached, "epmd": _epmd, "rabbit": _rabbit}[name]()
    plain = name.removesuffix(region.suffix)
    if plain in APIS:
        about = {"LAB_APP": f"{APIS[plain]}:application", "LAB_BIND": str(PORTS[name])}
        if plain == "cinder":
            about["LAB_ARGUMENTS"] = f"--config-file {settings.file_of('cinder', region)}"
        return [tool("gunicorn"), "-c", str(INSIDE / "gunicorn.conf.py")], about
    program = plain.partition("-")[0]
    file = settings.file_of(program, region)
    return [tool(plain), "--config-file", str(file.with_name("compute.conf") if plain == "nova-compute" else file)], {}


def _mariadb() -> Command:
    return [
        "mariadbd", "--no-defaults", f"--datadir={STATE / 'mysql'}", f"--socket={SOCKET}", "--skip-networking",
        "--skip-name-resolve", "--max-connections=800", "--performance-schema=OFF", "--innodb-doublewrite=0",
        "--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=64M", "--debug-no-sync",
        *(["--user=root"] if os.geteuid() == 0 else []),
    ], {}  # fmt: skip


def _memcached() -> Command:
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    return ["memcached", *user, "-l", "127.0.0.1", "-p", str(PORTS["memcached"]), "-m", "16"], {}


def _erlang() -> dict[str, str]:
    (STATE / "rabbit").mkdir(exist_ok=True)
    return {
        "HOME": str(STATE / "rabbit"), "ERL_EPMD_ADDRESS": "127.0.0.1", "ERL_EPMD_PORT": str(PORTS["epmd"]),
    }  # fmt: skip


def _epmd() -> Command:
    """Erlang's register of ports would start itself, and stay."""
    return ["epmd", "-address", "127.0.0.1", "-port", str(PORTS["epmd"])], _erlang()


def _rabbit() -> Command:
    """The bus, on loopback, with a space for the messages of either region; an idle one does not spin."""
    file, space = ETC / "rabbit.conf", ETC / "rabbit.json"
    file.write_text(f"load_definitions = {space}\n")
    space.write_text(accounts.spaces())
    place = STATE / "rabbit"
    return [str(packages.RABBIT)], {
        **_erlang(), "RABBITMQ_CONF_ENV_FILE": os.devnull, "RABBITMQ_CONFIG_FILE": str(file),
        "RABBITMQ_ENABLED_PLUGINS_FILE": os.devnull, "RABBITMQ_NODENAME": "lab@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1", "RABBITMQ_NODE_PORT": str(PORTS["rabbit"]),
        "RABBITMQ_DIST_PORT": str(PORTS["erlang"]), "RABBITMQ_MNESIA_BASE": str(place / "mnesia"),
        "RABBITMQ_LOG_BASE": str(LOG),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} +S 1:1 +sbwt none",
    }  # fmt: skip
