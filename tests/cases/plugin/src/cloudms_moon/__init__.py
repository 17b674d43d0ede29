"""An example of a plug-in: a noun with its commands, a command of a built-in noun, a cloud, and an output format."""
