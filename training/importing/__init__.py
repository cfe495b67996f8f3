"""Open collections and scanners' files, brought into the layout that `train prepare`, `predict` and `evaluate` read."""
