"""Synthetic patients: parametric anatomy, rendered by the physics of the challenge's sequences."""
