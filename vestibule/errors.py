"""The one error type that ends in a last line on stderr and exit code 1."""


class InputError(ValueError):
    """Bad input: the message names the file and the cause, and says what was expected."""
