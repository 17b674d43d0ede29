"""Slurm as the engine of experiments: tasks are an array of jobs, results come back from the nodes that ran them."""
