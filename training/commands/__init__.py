"""Commands that make data and weights, a file each."""
