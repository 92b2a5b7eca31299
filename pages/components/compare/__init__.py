"""Parts of the Compare page alone."""
