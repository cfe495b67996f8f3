"""Stages that several runs have in common: made in one run's folder, linked from the others'."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def make_links(links: Sequence[tuple[Path, Path]]) -> None:
    """Give a run the stages that another one has made for it; what lay in their place goes to the run's `old/`."""
    for place, made in links:
        if place.is_symlink():
            if place.resolve() == made.resolve():
                continue
            place.unlink()
        elif place.is_dir():
            # Reads the configuration's classes, and with them torch, which few jobs need for this.
            from training.run_folder import set_aside

            set_aside(place, place.parent)
        place.parent.mkdir(parents=True, exist_ok=True)
        target = Path("..") / made.relative_to(place.parent.parent)
        # Another job of the run may be doing the same.
        try:
            place.symlink_to(target, target_is_directory=True)
        except FileExistsError:
            if place.resolve() != made.resolve():
                raise
