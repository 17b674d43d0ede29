"""A module that ends the process that imports it."""

import sys

print("not on stdout, please")  # noqa: T201 (what plug-ins do)
sys.exit(3)
