"""Commands of the submission contract."""
