"""Commands run as many tasks over many nodes: described once, watched, repeated where they failed, and compared."""

ORDER = (
    "list", "info", "run", "status", "watch", "tasks", "logs", "results", "fetch", "cancel", "rerun", "label", "delete",
)  # fmt: skip
"""The commands in the order in which help and documentation list them; one that is not named comes last."""
