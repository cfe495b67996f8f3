"""Commands of the inference package, a file each."""
