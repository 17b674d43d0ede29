"""Start and end the lab from the command line; `hold` keeps it for whoever tests until standard input ends."""

from __future__ import annotations

import argparse
import sys
import time

from tests.live.openstack import bringup, lending, packages, processes
from tests.live.openstack.places import FOLDER


def say(line: str) -> None:
    """Print a line."""
    sys.stdout.write(line + "\n")


def main() -> int:
    """Do what the arguments say and return the exit code: 3 when the lab cannot be had here."""
    parser = argparse.ArgumentParser(prog="python -m tests.live.openstack", description="A real OpenStack to test on.")
    parser.add_argument("action", choices=("up", "down", "status", "hold"))
    parser.add_argument("--two", action="store_true", help="up: the second region, too")
    parser.add_argument("--lend", action="store_true", help="up: it may be ended when no test uses it any more")
    parser.add_argument("--wipe", action="store_true", help="down: forget all that was made")
    options = parser.parse_args()
    begin = time.monotonic()
    if options.action == "down":
        bringup.down(wipe=options.wipe)
    elif options.action == "hold":
        with lending.held():
            lending.start(two=True)
            sys.stdin.read()
    elif options.action == "status":
        running = [name for name in bringup.everything() if processes.pid_of(name)]
        say(f"{len(running)} services run: {' '.join(running)}")
    else:
        try:
            fresh = bringup.up(two=options.two)
        except (packages.Unavailable, processes.Broken) as error:
            sys.stderr.write(f"error: {error}\n")
            return 3 if isinstance(error, packages.Unavailable) else 1
        lending.note(fresh=fresh, lent=options.lend)
        say(f"up after {time.monotonic() - begin:.1f} s: OS_CLIENT_CONFIG_FILE={FOLDER}/clouds.yaml OS_CLOUD=lab")
    return 0


if __name__ == "__main__":
    sys.exit(main())
