"""Synthetic patients: parametric anatomy, drawn by the physics of the challenge's sequences."""
