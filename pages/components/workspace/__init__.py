"""Parts of the Workspace page alone."""
