"""Virtual machines: boot, watch, change and delete them on any cloud."""

ORDER = (
    "boot", "list", "status", "info", "ssh", "console", "stats", "ping", "wait", "refresh",
    "start", "stop", "deallocate", "suspend", "resume", "reboot",
    "rename", "resize", "confirm", "revert", "rightsize", "rebuild", "clone", "snapshot", "ip",
    "label", "protect", "unprotect", "adopt", "delete", "forget",
)  # fmt: skip
"""The commands in the order in which help and documentation list them; one that is not named comes last."""
