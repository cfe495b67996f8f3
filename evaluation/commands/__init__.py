"""Commands that score, a file each."""
