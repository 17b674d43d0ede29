"""Run the pretended AWS: `python -m tests.aws.serve [SETTINGS]` listens on a free port of 127.0.0.1 and prints it.

SETTINGS is a JSON object, see `tests.aws.world.Settings`; `images` in it is `few` (a dozen known names, the default),
`moto` (moto's own 1,301) or the path of a list in the form of MOTO_AMIS_PATH. It ends when its input does.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from threading import Thread
from typing import Any

from tests.aws.images import few


def provide_images(which: str, folder: str) -> None:
    """Tell moto, before it is imported, which images there are."""
    if which == "moto":
        return
    path = Path(folder) / "images.json" if which == "few" else Path(which)
    if which == "few":
        path.write_text(json.dumps(few()))
    os.environ["MOTO_AMIS_PATH"] = str(path)


def adapt_moto() -> None:
    """Let moto find the tags of one thing without looking at those of all, describe root disks as real ones are, and
    give an instance the groups that its card is given.
    """
    from moto.ec2.models.amis import Ami
    from moto.ec2.models.core import TaggedEC2Resource
    from moto.ec2.models.elastic_network_interfaces import NetworkInterfaceBackend

    from tests.aws.instances import ROOT_GIB

    def tags(self: Any) -> list[dict[str, str]]:
        mine = self.ec2_backend.tags.get(self.id, {}) if self.id else {}
        return [{"resource_id": self.id, "key": key, "value": value} for key, value in mine.items()]

    def disks(self: Any) -> list[dict[str, Any]]:
        ebs = {"SnapshotId": self.ebs_snapshot.id, "VolumeSize": ROOT_GIB, "DeleteOnTermination": True}
        return [{"DeviceName": self.root_device_name, "Ebs": {**ebs, "VolumeType": "gp3", "Encrypted": False}}]

    change = NetworkInterfaceBackend.modify_network_interface_attribute

    def regroup(self: Any, eni_id: str, group_ids: list[str], *more: Any) -> None:
        change(self, eni_id, group_ids, *more)
        card = self.get_network_interface(eni_id)
        if group_ids and card.instance:
            card.instance.security_groups = list(card._group_set)

    NetworkInterfaceBackend.modify_network_interface_attribute = regroup  # type: ignore[assignment, method-assign]
    TaggedEC2Resource.get_tags = tags  # type: ignore[method-assign]
    Ami.block_device_mappings = property(disks)  # type: ignore[assignment, method-assign]


def main(settings: dict[str, Any]) -> None:
    """Serve until the input ends."""
    with tempfile.TemporaryDirectory(prefix="cms-lab-aws-") as folder:
        provide_images(settings.pop("images", "few"), folder)
        server = make(settings)
        Thread(target=server.serve_forever, daemon=True).start()
        sys.stdout.write(f"{server.server_port}\n")
        sys.stdout.flush()
        sys.stdin.read()


def make(settings: dict[str, Any]) -> Any:
    """Return the server, listening."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
    from werkzeug.serving import make_server

    from tests.aws.strict import Strict
    from tests.aws.world import Settings, World

    adapt_moto()
    defaults = Settings()
    defaults.update(settings)
    world = World(settings=Settings(**defaults.__dict__), defaults=defaults)
    moto = DomainDispatcherApplication(create_backend_app)
    return make_server("127.0.0.1", 0, Strict(moto, world), True, request_handler=MotoRequestHandler)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]) if len(sys.argv) > 1 else {})
