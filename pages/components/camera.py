"""The browser's camera, wherever pictures are taken."""

from typing import Final

RESOLUTION: Final = "480p"
"""What it is asked for, more than networks see. Without a height Streamlit asks for the width that the page has first,
and a second later for another one: the camera then starts again, and a click meanwhile takes no photo."""
