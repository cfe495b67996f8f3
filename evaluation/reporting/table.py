"""Tables for papers, on the console, in Markdown and in LaTeX; the paper's Table 1 among them, also as JSON."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from evaluation.metrics import headlines
from vestibule.editions import EDITIONS
from vestibule.terminal import table_console

MARKDOWN = {"|": "\\|", "<": "&lt;"}
"""What stands for a character that Markdown would take for a mark of its own."""
LATEX = {
    "\\": "\\textbackslash{}",
    "~": "\\textasciitilde{}",
    "^": "\\textasciicircum{}",
    "±": "$\\pm$",
    "<": "$<$",
    ">": "$>$",
} | {character: f"\\{character}" for character in "&%$#_{}"}
"""Likewise for LaTeX, where a name could be a command."""


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
        rule = ("---",) * len(self.header)
        text = ""
        for line in (self.header, rule, *self.rows):
            cells = [_escaped(cell, MARKDOWN) for cell in line]
            joined = " | ".join(cells)
            text += f"| {joined} |\n"
        return text

    @property
    def latex(self) -> str:
        """The table as a LaTeX `tabular` with rules of the package booktabs."""
        numbers = len(self.header) - self.names
        columns = "l" * self.names + "r" * numbers

        lines = [f"\\begin{{tabular}}{{{columns}}}", "\\toprule"]
        lines.append(_latex_row(self.header))
        lines.append("\\midrule")
        for row in self.rows:
            lines.append(_latex_row(row))
        lines += ["\\bottomrule", "\\end{tabular}"]
        return "\n".join(lines) + "\n"

    def to_rich(self, title: str | None = None) -> Table:
        """The table for a `rich` console."""
        table = Table(title=title)
        for index, name in enumerate(self.header):
            is_name = index < self.names
            table.add_column(name, justify="left" if is_name else "right")
        for row in self.rows:
            table.add_row(*row)
        return table

    def print(self, console: Console | None = None, title: str | None = None) -> None:
        """Print the table, on standard output where no console is given."""
        if console is None:
            console = table_console()
        table = self.to_rich(title)
        console.print(table)


def structure_title(structure: str) -> str:
    """What tables call a structure of any edition: itself where no edition knows better."""
    for edition in EDITIONS.values():
        if structure in edition.anatomy:
            return edition.anatomy[structure].title
    return structure


def table1(arms: dict[str, dict]) -> TextTable:
    """Each headline metric as mean ± sd (median), and the count of good cases, for each arm and structure.

    With Dice and ASSD this is the form of Table 1 of Sallé et al., ORASIS 2021.

    `arms` maps a name to what `scoring.summarise` gives. Raises ValueError where there is no arm, or where two arms
    were scored on different structures.
    """
    if not arms:
        raise ValueError("a table needs at least one arm")

    first = next(iter(arms.values()))
    structures = list(first)
    for name, summary in arms.items():
        found = list(summary)
        if found != structures:
            raise ValueError(f"arm {name!r} has the structures {found}, expected {structures}")

    header = ["arm", "structure"]
    for metric in headlines():
        header.append(metric.title)
        if metric.good_above is not None:
            header.append(f"cases > {metric.good_above:g}")

    rows = []
    for name, summary in arms.items():
        for structure, scores in summary.items():
            title = structure_title(structure)
            row = [name, title]

            for metric in headlines():
                values = scores[metric.key]
                row.append(spread(values))
                if metric.good_above is not None:
                    count = values[metric.count_key]
                    row.append(str(count))

            rows.append(tuple(row))
    return TextTable(tuple(header), tuple(rows))


def spread(values: dict[str, float]) -> str:
    """`mean ± sd (median)` with two digits."""
    mean, deviation, median = values["mean"], values["std"], values["median"]
    return f"{mean:.2f} ± {deviation:.2f} ({median:.2f})"


def _escaped(cell: str, escapes: dict[str, str]) -> str:
    return "".join(escapes.get(character, character) for character in cell)


def _latex_row(cells: tuple[str, ...]) -> str:
    shown = []
    for cell in cells:
        shown.append(_escaped(cell, LATEX))
    line = " & ".join(shown)
    return line + " \\\\"
