"""The doors: command line, shell, REST, portal. They list verbs and hold no logic."""
