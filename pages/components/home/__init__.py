"""Parts of the Home page alone."""
