"""Tables for papers, on the console, in Markdown and in LaTeX; the paper's Table 1 among them, also as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from evaluation.reporting.outputs import write_document

STRUCTURE_NAMES = {"vs": "VS", "cochlea": "cochlea"}


@dataclass(frozen=True)
class TextTable:
    """Rows of text under a header."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    names: int = 2
    """How many of the first columns are names, which stand to the left; the others are numbers."""

    @property
    def markdown(self) -> str:
        """The table in Markdown."""
        lines = [self.header, ("---",) * len(self.header), *self.rows]
        return "\n".join(f"| {' | '.join(_escaped(cell, '|') for cell in line)} |" for line in lines) + "\n"

    @property
    def latex(self) -> str:
        """The table as a LaTeX `tabular` with rules of the package booktabs."""
        lines = [
            f"\\begin{{tabular}}{{{'l' * self.names}{'r' * (len(self.header) - self.names)}}}",
            "\\toprule",
            _latex_row(self.header),
        ]
        lines += ["\\midrule", *(_latex_row(row) for row in self.rows), "\\bottomrule", "\\end{tabular}"]
        return "\n".join(lines) + "\n"

    def to_rich(self, title: str | None = None) -> Table:
        """The table for a `rich` console."""
        table = Table(title=title)
        for index, name in enumerate(self.header):
            table.add_column(name, justify="left" if index < self.names else "right")
        for row in self.rows:
            table.add_row(*row)
        return table

    def print(self, console: Console | None = None, title: str | None = None) -> None:
        """Print the table, on standard output where no console is given."""
        (console or Console()).print(self.to_rich(title))


def table1(arms: dict[str, dict]) -> TextTable:
    """Dice and ASSD as mean ± sd (median), and the count of cases above 0.8, for each arm and structure.

    This is the form of Table 1 of Sallé et al., ORASIS 2021.

    `arms` maps a name to what `scoring.summarise` gives. Raises ValueError where there is no arm, or where two arms
    were scored on different structures.
    """
    if not arms:
        raise ValueError("a table needs at least one arm")
    structures = list(next(iter(arms.values())))
    for name, summary in arms.items():
        if list(summary) != structures:
            raise ValueError(f"arm {name!r} has the structures {list(summary)}, expected {structures}")
    rows = []
    for name, summary in arms.items():
        for structure, scores in summary.items():
            cells = spread(scores["dice"]), str(scores["dice"]["over_0_8"]), spread(scores["assd_mm"])
            rows.append((name, STRUCTURE_NAMES.get(structure, structure), *cells))
    return TextTable(("arm", "structure", "Dice", "cases > 0.8", "ASSD (mm)"), tuple(rows))


def write_table1_json(path: Path, arms: dict[str, dict]) -> None:
    """Write {"arms": arms} with every number in full. Raises ValueError for NaN or infinity."""
    write_document(Path(path), {"arms": arms})


def spread(values: dict[str, float]) -> str:
    """`mean ± sd (median)` with two digits."""
    return f"{values['mean']:.2f} ± {values['std']:.2f} ({values['median']:.2f})"


def _escaped(cell: str, characters: str) -> str:
    return "".join(f"\\{character}" if character in characters else character for character in cell)


def _latex_row(cells: tuple[str, ...]) -> str:
    shown = [_escaped(cell, "&%$#_{}").replace("±", "$\\pm$").replace(">", "$>$") for cell in cells]
    return " & ".join(shown) + " \\\\"
