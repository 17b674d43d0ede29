"""The nouns of the house: what exists, as frozen data that every door shows the same way.

`things` are what clouds have, `operation`, `run`, `experiment` and `cluster` the work that is done with them.
"""

from cloudms.model.cluster import Cluster
from cloudms.model.experiment import Experiment, Node, Task
from cloudms.model.operation import Operation, OperationState, Step
from cloudms.model.run import Run
from cloudms.model.things import (
    DEADLINES,
    TIMES,
    Address,
    Check,
    CloudInfo,
    Cost,
    Event,
    Flavor,
    Group,
    Image,
    Key,
    Location,
    Noun,
    Origin,
    Quota,
    Rule,
    SecGroup,
    Setting,
    Snapshot,
    Usage,
    Vm,
    VmSpec,
    VmState,
    Volume,
    VolumeSnapshot,
)

__all__ = [
    "Address",
    "Check",
    "CloudInfo",
    "Cluster",
    "Cost",
    "DEADLINES",
    "Event",
    "Experiment",
    "Flavor",
    "Group",
    "Image",
    "Key",
    "Location",
    "Node",
    "Noun",
    "Operation",
    "OperationState",
    "Origin",
    "Quota",
    "Rule",
    "Run",
    "SecGroup",
    "Setting",
    "Snapshot",
    "Step",
    "TIMES",
    "Task",
    "Usage",
    "Vm",
    "VmSpec",
    "VmState",
    "Volume",
    "VolumeSnapshot",
    "nouns",
]


def nouns() -> dict[str, type[Noun]]:
    """Return every noun class by its kind."""
    return {cls.kind: cls for cls in Noun.__subclasses__()}
