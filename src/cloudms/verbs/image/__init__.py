"""Disk images to boot from: of the clouds, and of this machine, which builds, pulls and adds its own."""
