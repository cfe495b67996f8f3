"""The stage that learns the look of T2: one harmoniser for each reference slice, of the configured kind."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from training.config import HarmoniserSettings, RunConfig
from training.data.raw_cases import KnownCases
from training.data.reference_check import expected_reference
from training.data.reference_slice import Reference, choose_references
from training.data.sheets import Cell, Difference, save_sheet
from training.harmoniser_table import harmoniser_class
from training.harmonisers.base import RANDOM_SAMPLE, Harmoniser
from training.harmonisers.fitted import folder_of, save_harmoniser
from training.parallel import side_by_side
from training.parts import Layers, Part

REFERENCE = "reference_"
"""Beginning of the names of parts."""
SEED_STEP = 100_003
"""Between the seeds of one reference slice and the next; a prime, so that seeds of other uses are not met."""


def check(config: RunConfig, known: KnownCases) -> None:
    """Raise InputError where no slice can serve as a reference, or the harmoniser cannot learn one of its size."""
    reference = expected_reference(config, known)
    kind = harmoniser_class(config.harmoniser.kind)
    kind.planned_levels(config.harmoniser, reference.size_yx)


def parts(config: RunConfig) -> Layers:
    """The reference slices, where there are several."""
    count = config.reference.count
    if count < 2:
        return ()
    return (tuple(Part(f"{REFERENCE}{number}") for number in range(count)),)


def make_part(config: RunConfig, run_dir: Path, name: str) -> None:
    """Fit the harmoniser of one reference slice. Raises InputError where no slice can serve as a reference."""
    number = int(name.removeprefix(REFERENCE))
    fit_one(*_jobs(config, run_dir)[number])


def train(config: RunConfig, run_dir: Path) -> list[Path]:
    """Choose the reference slices and fit a harmoniser to each, side by side; leaves them in `harmoniser/`.

    Raises InputError where no slice can serve as a reference.
    """
    outputs: list[Path] = []
    for paths in side_by_side(fit_one, _jobs(config, run_dir)):
        outputs += paths
    return outputs


def _jobs(config: RunConfig, run_dir: Path) -> list[tuple[HarmoniserSettings, Reference, Path, int, str]]:
    """Arguments of `fit_one` for each reference slice."""
    jobs = []
    for number, reference in enumerate(choose_references(config, run_dir)):
        folder = folder_of(run_dir, number)
        seed = config.seed + SEED_STEP * number
        job = (config.harmoniser, reference, folder, seed, config.precision)
        jobs.append(job)
    return jobs


def fit_one(
    settings: HarmoniserSettings, reference: Reference, folder: Path, seed: int, precision: str = "auto"
) -> list[Path]:
    """Fit one harmoniser, and save it with its reference slice and a sheet of previews.

    Args:
        settings: Of the kind that they name.
        reference: The slice to learn.
        folder: Where all goes; it is made.
        seed: Of the training.
        precision: Arithmetic of networks, as in the configuration.

    Returns:
        Paths of the harmoniser and its reference.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kind = harmoniser_class(settings.kind)
    harmoniser = kind.fit(reference, settings, folder, seed, precision)
    sheet = folder / "samples.png"
    save_previews(sheet, harmoniser, reference)
    return save_harmoniser(folder, settings.kind, harmoniser, reference)


def save_previews(path: Path, harmoniser: Harmoniser, reference: Reference) -> None:
    """A sheet of the reference slice, its tumour outlined, and of what the harmoniser makes of it.

    Below each is by how much it differs from the reference slice.
    """
    title = "reference"
    columns: dict[str, Sequence[Cell]] = {title: [reference.image]}
    outlines = {title: [reference.tumour]}
    for name, image in harmoniser.previews(reference.image).items():
        columns[name] = [image]
        if name != RANDOM_SAMPLE:
            difference = Difference.between(image, reference.image)
            columns[name] = [image, difference]
    rows = [f"{reference.case}\nslice {reference.slice}", "less the reference"]
    save_sheet(path, columns, outlines, rows)
