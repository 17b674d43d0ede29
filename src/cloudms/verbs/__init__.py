"""The verbs: one file per noun, one typed function per verb. A new command goes here and nowhere else."""
