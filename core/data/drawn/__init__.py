"""What the drawn pictures are made of: anatomies, grounds, textures, and the camera that looks at them."""
