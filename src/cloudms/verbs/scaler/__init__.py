"""The loop that makes groups larger and smaller with their load."""

ORDER = ("run", "list", "simulate")
"""The commands in the order in which help and documentation list them; one that is not named comes last."""
