"""A plug-in of which nothing is right."""
