"""The licence-plate service that groups are scaled with: in VMs, on this machine, and the store of its answers."""

ORDER = ("store", "user-data", "serve")
"""The commands in the order in which help and documentation list them; one that is not named comes last."""
