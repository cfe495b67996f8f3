"""Colours of the outlines in page, sheets and pictures: warm ones for references, cold ones for predictions."""

from __future__ import annotations

from dataclasses import dataclass

from vestibule.editions import TUMOUR, Edition

REFERENCES = ("#ffb000", "#fe4a49", "#fff59d")
"""Orange, red, pale yellow: of the first structure, the second and so on."""
PREDICTIONS = ("#00c2ff", "#9f40ff", "#9dffd0")
"""Blue, violet, pale green. The first two of both lists stay apart for people who confuse colours, and from greys."""


@dataclass(frozen=True)
class Pen:
    """How a structure is outlined."""

    structure: str
    title: str
    """What legends call it."""
    values: tuple[int, ...]
    """Its label values."""
    reference: str
    """Colour of its reference, `#rrggbb`."""
    prediction: str
    """Colour of what is predicted."""


def pens_of(edition: Edition) -> list[Pen]:
    """A pen for each structure of an edition, the tumour's first; after the last colours the first come again."""
    names = list(edition.structures)
    if TUMOUR in names:
        names.remove(TUMOUR)
        names.insert(0, TUMOUR)

    pens = []
    for place, name in enumerate(names):
        pen = Pen(
            structure=name,
            title=edition.anatomy_of(name).title,
            values=edition.values_of(name),
            reference=REFERENCES[place % len(REFERENCES)],
            prediction=PREDICTIONS[place % len(PREDICTIONS)],
        )
        pens.append(pen)
    return pens
