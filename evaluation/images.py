"""The T2 images that masks belong to. One that cannot be used is named and counted, and costs no other its picture."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from vestibule import logs
from vestibule.editions import Edition
from vestibule.inputs import find_cases


@dataclass(frozen=True)
class Images:
    """The T2 images of a folder."""

    by_case: dict[str, Path] = field(default_factory=dict)
    refused: tuple[str, ...] = ()
    """A line for each that cannot be opened, and for each group that are of one case."""


def find_images(images_dir: Path, edition: Edition) -> Images:
    """T2 images of a folder by case, as `vestibule predict` finds and names them.

    Raises InputError where there is none.
    """
    selection = find_cases(images_dir, Path(), edition)
    by_case = {case.name: case.image_path for case in selection.cases}
    return Images(by_case, selection.refused)


def told_faults(faults: Iterable[str]) -> str | None:
    """Say on stderr which images could not be used, each once.

    Args:
        faults: A line for each, which names it; the same one may come twice.

    Returns:
        What the command's last line is to say of them, with exit code 1; None where there is none.
    """
    lines = list(dict.fromkeys(faults))
    for line in lines:
        logs.tell(f"image not used: {line}", logging.ERROR)
    if not lines:
        return None
    if len(lines) == 1:
        return f"1 image cannot be used: {lines[0]}"
    return f"{len(lines)} images cannot be used, the first: {lines[0]}"
