"""Run a command on many VMs at once, and keep what each of them said."""

ORDER = ("run", "list", "info", "logs", "fetch", "delete")
"""The commands in the order in which help and documentation list them; one that is not named comes last."""
