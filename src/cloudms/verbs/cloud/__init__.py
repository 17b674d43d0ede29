"""The configured clouds: which there are, whether they answer, what they can do; add, copy and remove them."""

ORDER = ("list", "info", "check", "roles", "add", "copy", "remove")
"""The commands in the order in which help and documentation list them; one that is not named comes last."""
