"""The pretended AWS as tests use it: started, controlled, and asked what it has."""

from __future__ import annotations

import json
import os
import sys
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cloudms.clouds.aws.emulator import REGION, Emulator

ROOT = Path(__file__).parent.parent.parent


class Lab(Emulator):
    """moto behind the strict layer, in a process of its own; `settings` are those of `tests.aws.world.Settings`."""

    def __init__(self, **settings: Any) -> None:
        path = os.pathsep.join([str(ROOT), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
        super().__init__(environment={"PYTHONPATH": path.rstrip(os.pathsep), "PYTHONWARNINGS": "ignore"})
        self.argv = (sys.executable, "-m", "tests.aws.serve", json.dumps(settings))

    def settings(self, regions: Sequence[str] = (REGION,)) -> dict[str, Any]:
        """Return the settings of a cloud that stands on it: here every service is pretended, prices included."""
        options = {"endpoint": self.endpoint, "regions": list(regions)}
        return {**super().settings(regions), "options": options}

    def control(self, method: str, what: str, body: object = None) -> Any:
        """Use the control address. Raises: HTTPError (it refuses)."""
        url = f"{self.endpoint}/cms-lab/{what}"
        request = urllib.request.Request(url, json.dumps(body).encode(), method=method)  # noqa: S310 (ours)
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 (ours)
            return json.load(answer)

    def reset(self) -> None:
        """Forget everything: things, faults, calls, changed settings."""
        self.control("POST", "reset")

    def fail(self, fault: str, action: str = "*", **more: Any) -> None:
        """Let something go wrong, see `tests.aws.faults`."""
        self.control("POST", "faults", [{"fault": fault, "action": action, **more}])

    def heal(self) -> None:
        """Take all faults away."""
        self.control("DELETE", "faults")

    def change(self, **settings: Any) -> None:
        """Change settings until the next reset."""
        self.control("POST", "settings", settings)

    def calls(self, action: str = "") -> list[dict[str, Any]]:
        """Return the calls since the start or `forget_calls`, all or those of one action."""
        return [call for call in self.control("GET", "calls") if action in ("", call["action"])]

    def forget_calls(self) -> None:
        """Count calls from here."""
        self.control("DELETE", "calls")

    def things(self, *kinds: str) -> list[dict[str, Any]]:
        """Return instances, volumes, snapshots, keys, addresses and groups of all regions; terminated ones not."""
        found = self.control("GET", "things")
        return [row for row in found if (not kinds or row["kind"] in kinds) and row.get("state") != "terminated"]

    def power_off(self, instance: str, region: str = REGION) -> str:
        """Let the guest of an instance switch itself off and return the state in which it ends."""
        return str(self.control("POST", "power-off", {"instance": instance, "region": region}))

    def client(self, service: str = "ec2", region: str = REGION, **more: Any) -> Any:
        """Return a client of plain boto3, which tries once."""
        import boto3
        from botocore.config import Config

        config = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=20)
        keys = {name.lower(): value for name, value in self.credentials.items()}
        return boto3.session.Session(**keys).client(
            service, region_name=region, endpoint_url=self.endpoint, config=config, **more
        )

    def write_config(self, folder: Path, regions: Sequence[str] = (REGION,), **more: Mapping[str, Any]) -> Path:
        """Write a configuration with the cloud `aws` that stands on it, and `more` clouds, and return the file.

        The cloud `local`, which is there without a word, is only there when it is among those. What fails is tried
        again by cloudms alone, and not by botocore as well, so that a lasting fault ends sooner.
        """
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = folder / "cloudmesh.yaml"
        own = self.settings(regions)
        own["options"]["max_retries"] = 0
        clouds = {"aws": own, "local": {"cm": {"kind": "libvirt", "active": False}}, **more}
        file.touch(mode=0o600)
        file.write_text(json.dumps({"cloudmesh": {"default": {"cloud": "aws"}, "cloud": clouds}}))
        return file


@contextmanager
def running(**settings: Any) -> Iterator[Lab]:
    """Run one for a while."""
    lab = Lab(**settings)
    lab.start()
    try:
        yield lab
    finally:
        lab.stop()
