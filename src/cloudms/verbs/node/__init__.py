"""VMs that work on experiments: what each of them does now, and what it has done."""

ORDER = ("list", "info")
"""The commands in the order in which help and documentation list them; one that is not named comes last."""
