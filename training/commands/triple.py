"""An option of three numbers."""

from __future__ import annotations

from typing import Any

import click


class Triple(click.ParamType):
    """Three numbers with commas between them, along the axes that `order` names."""

    def __init__(self, number: type, order: str, example: str) -> None:
        """Make the type of an option.

        Args:
            number: `int` or `float`.
            order: The axes in the order in which they are given, such as `Z,Y,X`; help shows it.
            example: A value that is right, for messages.
        """
        self.number = number
        self.name = order
        self.example = example

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """How help shows the value: the order as it is, where click would make x,y,z upper case."""
        return self.name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple:
        """The numbers that a user gave, as a tuple. Ends the command where they are not three."""
        if isinstance(value, tuple):
            return value
        try:
            numbers = tuple(self.number(part) for part in value.split(","))
        except ValueError:
            numbers = ()
        if len(numbers) != 3:
            self.fail(f"expected three numbers {self.name} like {self.example}, got {value!r}", param, ctx)
        return numbers
