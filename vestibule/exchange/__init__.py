"""Weights for other tools, and from nnU-Net: each format is a file here, and needs an extra of its own."""
