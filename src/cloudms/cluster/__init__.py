"""A Slurm of one's own: its configuration, its daemons on this machine, its nodes, and what it says of its queue."""
