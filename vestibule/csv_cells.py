"""Names in cells of CSV files, which a spreadsheet must not take for formulas.

A cell that begins with one of `=+-@` is a formula to a spreadsheet, and names of cases are names of files that anyone
may have chosen. Names are written with an apostrophe before such a character, and read without it.
"""

from __future__ import annotations

import re

_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_ESCAPED_FORMULA = re.compile(r"'+[=+\-@\t\r]")


def escaped(name: str) -> str:
    """A name as it is written into a cell, where no spreadsheet may take it for a formula."""
    if _FORMULA.match(name):
        return f"'{name}"
    return name


def unescaped(cell: str) -> str:
    """The name that `escaped` made a cell of."""
    if _ESCAPED_FORMULA.match(cell):
        return cell[1:]
    return cell
