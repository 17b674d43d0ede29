"""Disk images to boot from: of the clouds, and of this machine, which builds, pulls and adds its own."""

ORDER = ("list", "search", "info", "refresh", "build", "pull", "add", "label", "delete")
"""The commands in the order in which help and documentation list them; one that is not named comes last."""
