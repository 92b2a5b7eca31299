"""Parts that pages share. This folder is not scanned for pages."""
