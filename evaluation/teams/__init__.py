"""Many teams at once: their submissions to scores, one ranking and one report."""
