"""What the labels of an edition are called in other tools, and whether another tool's labels are an edition's."""

from __future__ import annotations

import re
from pathlib import Path

from vestibule.editions import COCHLEA, TUMOUR, Edition
from vestibule.errors import InputError

BACKGROUND = "background"
TELLING = {
    TUMOUR: re.compile(r"(^|[^a-z])(vs|tv|an)([^a-z]|$)|schwannoma|neuroma|tumou?r"),
    COCHLEA: re.compile(r"cochlea"),
}
"""What in the name of a label, in small letters, tells the structure."""


def label_names(edition: Edition) -> dict[str, int]:
    """The label values of an edition by name, background first, each name a word."""
    parts = {values: part for part, values in edition.parts.items()}
    named = {BACKGROUND: 0}
    for structure, values in edition.structures.items():
        for value in values:
            name = structure
            if len(values) > 1:
                name = parts.get((value,), f"{structure}_{value}")
            named[name] = value
    return named


def check_labels(path: Path, labels: dict[str, int], edition: Edition) -> None:
    """Refuse labels of another tool that are not those of an edition.

    Args:
        path: The file that they stand in, for messages.
        labels: Values by name, background included.
        edition: Whose labels they are to be.

    Raises:
        InputError: There are more values or fewer, or a name tells another structure than its value.
    """
    values = sorted(labels.values())
    if values != list(edition.labels):
        named = label_names(edition)
        expected = ", ".join(f"{value} {name}" for name, value in named.items())
        raise InputError(f"{path}: labels have the values {values}; edition {edition.year} has {expected}")
    for name, value in labels.items():
        for structure, telling in TELLING.items():
            own = edition.structures.get(structure, ())
            if value in own or not telling.search(name.lower()):
                continue
            listed = ", ".join(map(str, own))
            raise InputError(
                f"{path}: label {value} is called {name!r}; in edition {edition.year} {structure} has {listed}. "
                "Train with the edition's labels"
            )
