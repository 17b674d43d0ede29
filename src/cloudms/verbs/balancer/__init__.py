"""One address for a group: its members come and go behind it, and no request is lost."""

ORDER = ("create", "list", "info", "stats", "start", "add", "ready", "drain", "remove", "delete")
"""The commands in the order in which help and documentation list them; one that is not named comes last."""
