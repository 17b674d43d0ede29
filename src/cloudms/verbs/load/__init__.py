"""Put load on a service and prove that every request was answered exactly once."""

ORDER = ("run", "check")
"""The commands in the order in which help and documentation list them; one that is not named comes last."""
