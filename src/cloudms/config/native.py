"""Clouds that the person's own tools have configured, which need no entry here: those of OpenStack's clouds.yaml.

The file is read only when a name is asked for that the configuration does not have, or when clouds are listed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from cloudms import cloudsyaml
from cloudms.config import files
from cloudms.config.clouds import CloudSettings
from cloudms.errors import ConfigError
from cloudms.record import Record

KIND = "openstack"


class Natives(Record):
    """The `clouds` by name, the `file` they stand in (None: there is none), and the `problem` that kept it unread."""

    clouds: Mapping[str, CloudSettings] = {}
    file: Path | None = None
    stamp: files.Stamp | None = None
    problem: str = ""

    @property
    def outdated(self) -> bool:
        """Whether the file has changed since it was read."""
        return self.file is not None and files.stamp(self.file) != self.stamp


def read(environ: Mapping[str, str], kinds: Collection[str], taken: Collection[str]) -> Natives:
    """Return the clouds of clouds.yaml whose names are not `taken`; their secrets are left there. Raises nothing."""
    file = cloudsyaml.place(environ) if KIND in kinds else None
    if file is None:
        return Natives()
    stamp = files.stamp(file)
    try:
        names = [str(name) for name in cloudsyaml.clouds(environ)[0] if name not in taken]
    except ConfigError as error:
        return Natives(file=file, stamp=stamp, problem=error.message)
    found = {name: CloudSettings(name=name, kind=KIND, label=name, options={"cloud": name}) for name in names}
    return Natives(clouds=found, file=file, stamp=stamp)
