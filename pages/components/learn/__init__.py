"""Parts of the Learn page alone."""
