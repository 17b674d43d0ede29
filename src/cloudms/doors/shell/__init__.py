"""The shell: the same commands as on the command line, typed at a prompt or written in a script."""
