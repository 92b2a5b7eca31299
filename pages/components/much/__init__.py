"""Parts of the How much? page alone."""
