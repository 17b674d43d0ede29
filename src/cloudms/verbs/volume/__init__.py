"""Disks that outlive their VM: make, attach, enlarge, keep, detach and delete them."""

ORDER = ("list", "info", "refresh", "create", "attach", "detach", "resize", "snapshot", "label", "delete")
"""The commands in the order in which help and documentation list them; one that is not named comes last."""
