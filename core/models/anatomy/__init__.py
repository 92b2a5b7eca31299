"""What a network is made of: layers, tensors, code that runs on it, and what its stages see."""
