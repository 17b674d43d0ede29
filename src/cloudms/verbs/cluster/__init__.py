"""Slurm clusters whose nodes are VMs: made when jobs wait, deleted when they are idle."""

ORDER = ("create", "add", "list", "info", "start", "stop", "resume", "suspend", "delete")
"""The commands in the order in which help and documentation list them; one that is not named comes last."""
