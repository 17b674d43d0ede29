"""VMs under one name, on any clouds: boot, choose, start, stop, resize and delete them together."""

ORDER = (
    "list",
    "info",
    "create",
    "add",
    "remove",
    "scale",
    "roll",
    "policy",
    "history",
    "plot",
    "watch",
    "start",
    "stop",
    "label",
    "delete",
)
"""The commands in the order in which help and documentation list them; one that is not named comes last."""
