"""An AWS that is only pretended: moto's server as a child process of ours, for the demo and for tests.

It listens on a free port of 127.0.0.1, keeps everything in memory, and ends with this process, however that ends: the
child waits for the end of its input. Its machines are records: they have no console of their own and no SSH.
"""

from __future__ import annotations

import secrets
import sys
from collections.abc import Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any

from cloudms.clock import Clock, SystemClock
from cloudms.errors import MissingExtra, NotReady, Timeout

if TYPE_CHECKING:
    from subprocess import Popen

REGION = "us-east-1"
SERVICES = ("ec2", "sts", "ssm", "cloudwatch")
"""What of AWS is pretended; prices and quotas are not."""
_READY_S = 60.0
_ENDS_S = 5.0
_STEP_S = 0.02


class Emulator:
    """A pretended AWS while it runs: `endpoint` is its URL, `credentials` a random pair that no account has."""

    argv: Sequence[str] = (sys.executable, "-m", "cloudms.clouds.aws.emulator")

    def __init__(self, clock: Clock | None = None, environment: Mapping[str, str] | None = None) -> None:
        self.clock = clock or SystemClock()
        self.environment = dict(environment or {})
        self.endpoint = ""
        self.credentials = {
            "AWS_ACCESS_KEY_ID": f"EMULATED{secrets.token_hex(6).upper()}",
            "AWS_SECRET_ACCESS_KEY": secrets.token_urlsafe(30),
        }
        self._process: Popen[str] | None = None

    def __enter__(self) -> Emulator:
        """Start it."""
        return self.start()

    def __exit__(self, *_error: object) -> None:
        """Stop it."""
        self.stop()

    @property
    def pid(self) -> int:
        """Return the process, 0 when none runs."""
        return self._process.pid if self._process else 0

    def start(self) -> Emulator:
        """Start it and return when it answers. Raises: MissingExtra, NotReady (it ended), Timeout."""
        import os
        import subprocess
        from importlib.util import find_spec

        if find_spec("moto") is None or find_spec("flask") is None:
            raise MissingExtra("emulator", why="a pretended AWS")
        self._process = subprocess.Popen(
            self.argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env={**os.environ, **self.environment}, start_new_session=True,
        )  # fmt: skip
        try:
            self.endpoint = f"http://127.0.0.1:{_port(self._process.stdout)}"
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End it; what it pretended is forgotten."""
        process, self._process, self.endpoint = self._process, None, ""
        if process is None:
            return
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        deadline = self.clock.monotonic() + _ENDS_S
        while process.poll() is None and self.clock.monotonic() < deadline:
            self.clock.sleep(_STEP_S)
        if process.poll() is None:
            process.kill()
        process.wait()

    def settings(self, regions: Sequence[str] = (REGION,)) -> dict[str, Any]:
        """Return the settings of a cloud that stands on it, as the configuration file has them."""
        options = {"endpoint": dict.fromkeys(SERVICES, self.endpoint), "regions": list(regions)}
        return {
            "cm": {"kind": "aws", "active": True},
            "default": {"location": regions[0]},
            "options": options,
            "credentials": dict(self.credentials),
        }


def _port(said: IO[str] | None) -> int:
    """Return the port that the child says it listens on, which it says when it does."""
    import select

    if said is None:
        raise NotReady("the pretended AWS has no output", hint="try again")
    if not select.select([said], [], [], _READY_S)[0]:
        raise Timeout(f"the pretended AWS did not start in {_READY_S:g} s", hint="try again")
    line = said.readline().strip()
    if not line.isdigit():
        raise NotReady("the pretended AWS did not start", hint="python -m cloudms.clouds.aws.emulator shows why")
    return int(line)


def main() -> None:
    """Be the child: serve on a free port, say which, and end when the input does."""
    from moto.moto_server.threaded_moto_server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    sys.stdout.write(f"{server.get_host_and_port()[1]}\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
