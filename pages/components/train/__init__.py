"""Parts of the Train page alone."""
