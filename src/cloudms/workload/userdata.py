"""What makes a VM a member: a script that brings the service into the guest, for its first boot or for any later time.

It is a plain shell script, so that `vm boot --user-data` takes it as it is, on the micro image as with cloud-init, and
root can run it in a machine that is there. The service is then started at every boot: members that come back from
stopped, saved or suspended take requests again.
"""

from __future__ import annotations

import json
from pathlib import Path

from cloudms.errors import Invalid

MARK = "#!/bin/sh\n# The licence-plate service:"
"""How it begins."""
_HERE = Path(__file__).parent


def script(
    store: str, token: str, *, port: int = 8080, slots: int = 1, rounds: int = 1, seconds: float = 0.0, queue: int = 64
) -> str:
    """Return the script of a member; it holds the token of the store, so it is for its owner alone.

    Parameters: `store`, where the guest reaches it; `port` that the service listens at; `slots`, requests at work at
    once; `rounds` of hashing, and `seconds` that a slot is held beyond; `queue`, the most that wait for a slot.
    Raises: Invalid.
    """
    settings = work(slots=slots, rounds=rounds, seconds=seconds, queue=queue)
    settings |= {"store": store, "token": token, "port": port_of(port, least=1)}
    text = (_HERE / "service.sh").read_text(encoding="utf-8")
    service = (_HERE / "service.py").read_text(encoding="utf-8").rstrip("\n")
    return text.replace("@SETTINGS@", json.dumps(settings)).replace("@SERVICE@", service)


def work(*, slots: int, rounds: int, seconds: float, queue: int = 64) -> dict[str, object]:
    """Return the settings of the service that say how it works. Raises: Invalid."""
    if not 1 <= slots <= 1024:
        raise Invalid(f"{slots} is no number of slots", hint="1 to 1024")
    if not 1 <= rounds <= 100_000_000:
        raise Invalid(
            f"{rounds} is no number of rounds", hint="1 to 100,000,000; 100,000 take about a tenth of a second"
        )
    if not 0 <= seconds <= 3600:  # false for NaN, too
        raise Invalid(f"{seconds:g} is no time to work", hint="seconds, such as 0.5")
    if not 0 <= queue <= 100_000:
        raise Invalid(f"{queue} is no length of a queue", hint="64 is the default")
    return {"slots": slots, "rounds": rounds, "seconds": seconds, "queue": queue}


def port_of(port: int, *, least: int = 0) -> int:
    """Return a port. Raises: Invalid."""
    if not least <= port <= 65535:
        raise Invalid(f"{port} is no port", hint=f"{least} to 65535")
    return port
