"""The stages of the method, a file each."""
