"""Images for virtual machines on this machine: build, pull, add, recognise and keep them."""
