"""A run in small, before the run: what would fail, and what it will take on this machine."""
