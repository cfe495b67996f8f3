"""The one error type that ends in a last line on stderr and exit code 1."""

from vestibule.text import shown


class InputError(ValueError):
    """Bad input: the message names the file and the cause, and says what was expected.

    The message is shown to people, and the names in it may be anyone's: what could steer a terminal becomes escapes.
    """

    def __init__(self, message: str) -> None:
        super().__init__(shown(message))
