"""The engine: the only place that calls a cloud and writes the catalog.

`plan` (what is to be done) → `operation` (written down, executed, resumed) → `vms` (one VM's change and its record);
`refresh` brings lists from the clouds into the catalog; `select` finds what a person named; `reserve` hands out names;
`ready` waits.
"""

from cloudms.engine.operation import cancel, execute, rehearse, resume, run, start
from cloudms.engine.plan import Action, Listing, Plan, Work, action

__all__ = ["Action", "Listing", "Plan", "Work", "action", "cancel", "execute", "rehearse", "resume", "run", "start"]
