"""Security groups: what reaches the VMs that are in them, as rules."""

ORDER = ("list", "info", "refresh", "create", "rule", "delete")
"""The commands in the order in which help and documentation list them; one that is not named comes last."""
