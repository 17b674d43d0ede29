"""How long a simulated day of a large group takes, by kind of policy: the load goes up to what all members can serve.

    python bench/simulation.py [--members 1000] [--step 60]

A day of the shape `day`, and one on which the group has all its members all the time, each in looks a minute apart.
Every look measures each member. The exit code is 1 when one takes longer than its target, in seconds of CPU.
"""

from __future__ import annotations

import argparse
import sys
import time

from cloudms.scaling import compare, simulation, traces
from cloudms.scaling.world import Machine

TARGET = 5.0
"""The most that a day of 1,000 members in looks a minute apart may take."""


def main() -> int:
    """Measure, print a line each, and return 1 when one takes too long."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--members", type=int, default=1000, help="members at the height of the load")
    parser.add_argument("--step", type=float, default=60.0, help="seconds from look to look")
    options = parser.parse_args()
    machine = Machine()
    height = options.members * machine.capacity * compare.USED / 100
    day = traces.shaped("day", height, step=options.step)
    runs = {name: (spec, day) for name, spec in compare.ordinary(machine, options.members).items()}
    full = runs["target"][0].with_(min=options.members)
    runs["target, all members all day"] = (full, traces.shaped("flat", height, step=options.step))
    slow = 0
    for name, (spec, trace) in runs.items():
        begun = time.process_time()
        moments = simulation.run(spec, trace, machine, size=spec.min)
        seconds = time.process_time() - begun
        hours = sum(moment.size for moment in moments) * options.step / 3600
        slow += seconds > TARGET
        print(f"{name:28} {len(moments)} looks, {hours:8.0f} member hours: {seconds:5.2f} s")
    print(f"target: at most {TARGET:g} s each")
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
