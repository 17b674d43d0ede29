"""Where the lab stands: its folder, its ports and its two regions."""

from __future__ import annotations

import os
import pwd
import sys
from pathlib import Path
from typing import NamedTuple

PASSWORD = "lab"
"""Of every account: what answers only on loopback needs no secret."""

HERE = Path(__file__).parent
INSIDE = HERE / "inside"
"""What runs within the services."""


def home() -> Path:
    """Return the user's own home, also while a test has another one."""
    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        return Path(os.environ["HOME"])


FOLDER = Path(os.environ.get("LAB_DIR") or home() / ".cache" / "cloudms-openstack")
VENV = FOLDER / "venv"
ETC = FOLDER / "etc"
STATE = FOLDER / "state"
RUN = FOLDER / "run"
LOG = FOLDER / "log"
LIB = FOLDER / "lib"
SOCKET = STATE / "mysql.sock"

FIRST_PORT = int(os.environ.get("LAB_PORT") or 21400)
PORTS = {
    name: FIRST_PORT + place
    for place, name in enumerate(
        ("keystone", "glance", "placement", "nova", "neutron", "cinder", "rabbit", "epmd", "erlang", "memcached",
         "placement2", "nova2", "neutron2", "cinder2", "dropper")
    )
}  # fmt: skip


class Region(NamedTuple):
    """A region: its name, what is appended to the names of its services, databases and host, and its message space."""

    name: str
    suffix: str
    vhost: str

    def __call__(self, name: str) -> str:
        """Return the name of this region's own service, database or host."""
        return name + self.suffix


ONE = Region("RegionOne", "", "")
TWO = Region("RegionTwo", "2", "two")
"""It shares keystone and glance with the first; its compute, network and volume services are its own."""


def url(service: str) -> str:
    """Return the address of a service."""
    return f"http://127.0.0.1:{PORTS[service]}"


def tool(name: str) -> str:
    """Return the path of a command of the services' environment."""
    return str(VENV / "bin" / name)


def packages() -> Path:
    """Return the folder of the services' Python packages."""
    return VENV / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
