"""What is measured and plotted of a run."""
