"""Parts of the Classify page alone."""
