"""Parts of the Inside page alone."""
