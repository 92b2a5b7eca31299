"""The commands of `python -m core`: a module for each or for a few that belong together, and one parser for all."""
