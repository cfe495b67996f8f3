#!/usr/bin/env python3
"""Expressions per line of functions' bodies: how full the lines are.

    python tools/density.py vestibule training evaluation [--files] [--at-most 5.0]

An expression is a node of type `ast.expr`; a line is one that a body spans, its comments and blank lines included and
its docstring left out. Exits with 1 where the whole is fuller than `--at-most`.
"""

from __future__ import annotations

import argparse
import ast
import sys
from dataclasses import dataclass
from pathlib import Path

FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Density:
    """What the bodies of some functions hold."""

    expressions: int
    lines: int

    @property
    def per_line(self) -> float:
        """Expressions a line; 0 where there is no line."""
        return self.expressions / self.lines if self.lines else 0.0


def measure(source: str) -> Density:
    """The density of a module's functions, each line and expression counted once however deep functions nest."""
    expressions: set[ast.expr] = set()
    lines: set[int] = set()
    for function in ast.walk(ast.parse(source)):
        if not isinstance(function, FUNCTIONS):
            continue
        body = function.body[1:] if ast.get_docstring(function) is not None else function.body
        for statement in body:
            lines.update(range(statement.lineno, statement.end_lineno + 1))
            expressions.update(node for node in ast.walk(statement) if isinstance(node, ast.expr))
        if body:
            lines.update(range(body[0].lineno, body[-1].end_lineno + 1))
    return Density(len(expressions), len(lines))


def main() -> int:
    """Print a line for each folder, and for each file where asked for; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--files", action="store_true", help="a line for each file as well, the fullest first")
    parser.add_argument("--at-most", type=float, help="exit with 1 where the whole has more")
    arguments = parser.parse_args()
    total = Density(0, 0)
    for folder in arguments.folders:
        paths = sorted(folder.rglob("*.py")) if folder.is_dir() else [folder]
        found = {path: measure(path.read_text(encoding="utf-8")) for path in paths}
        whole = Density(sum(one.expressions for one in found.values()), sum(one.lines for one in found.values()))
        if arguments.files:
            for path, one in sorted(found.items(), key=lambda item: -item[1].per_line):
                print(f"{one.per_line:5.1f} {one.expressions:6d} {one.lines:5d}  {path}")
        print(f"{whole.per_line:5.2f} {whole.expressions:6d} {whole.lines:5d}  {folder}")
        total = Density(total.expressions + whole.expressions, total.lines + whole.lines)
    print(f"{total.per_line:5.2f} {total.expressions:6d} {total.lines:5d}  in all")
    return int(arguments.at_most is not None and total.per_line > arguments.at_most)


if __name__ == "__main__":
    sys.exit(main())
