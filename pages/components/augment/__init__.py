"""Parts of the Augment page alone."""
