"""Domain B': the source tumour, copied into synthetic T2 and harmonised by the one-shot model. Sallé et al. 2021.

For each labelled T1 case: J = phi0_AB(I); the 3-D tumour of I is copied into J at its voxels, the outermost of them in
part; the tumour's region goes slice by slice, in one batch, through the harmoniser; inside the mask (with a soft edge)
the result replaces J, and everywhere else J stays as it is, bit for bit.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import nn

from training.config import RunConfig, TransferConfig
from training.data.intermediates import copied_structures, derived_entry, prepared_entries
from training.data.raw_cases import KnownCases
from training.data.reference_check import expected_reference
from training.data.sheets import save_sheet
from training.data.slices import read_cases
from training.harmonisers.compositing import Composite, composite, target_intensity
from training.harmonisers.fitted import check_level, check_planned_level, load_harmonisers
from training.harmonisers.steps import steps_of, titles_of
from training.stage_table import CYCLEGAN, TRANSFER
from vestibule.device import pick_device
from vestibule.editions import get_edition
from vestibule.errors import InputError
from vestibule.files import write_json
from vestibule.networks import build_generator
from vestibule.progress import track
from vestibule.tensors import read_tensors
from vestibule.translation import translate

FIGURES = 6
"""Cases of which a figure sheet is kept."""
NOISE_SEED_STEP = 100_003
"""Between the seeds of the noise of one run and of the next, so that cases of different runs do not share one."""


def check(config: RunConfig, known: KnownCases) -> None:
    """Raise InputError where the edition lacks a structure, the harmoniser a level, or the reference slice a tumour."""
    settings = config.transfer
    edition = get_edition(config.edition)
    for structure in settings.structures:
        try:
            edition.values_of(structure)
        except ValueError as error:
            raise InputError(f"transfer.structures: {error}") from error
    reference = expected_reference(config, known)
    check_planned_level("transfer.level", settings.level, config, reference)
    if settings.intensity == "reference" and not reference.outlined:
        raise InputError(
            f"transfer.intensity 'reference' needs a labelled tumour in the reference slice ({config.reference.case}, "
            f"slice {config.reference.slice}); label it, choose another slice, or set 'none'"
        )


def transfer(config: RunConfig, run_dir: Path) -> list[Path]:
    """Make B' of every source case; leaves float16 volumes, an index and figure sheets in `transfer/`.

    A case without a tumour stays phi0_AB(I) and is counted. Where the run has several harmonisers, the cases go through
    them in turn.

    Args:
        config: Its sections `transfer`, `cyclegan` and `edition`, and the seed.
        run_dir: Folder of a run with prepared cases, a CycleGAN and harmonisers.

    Returns:
        Paths of the index and of the volumes.

    Raises:
        InputError: The harmonisers lack the configured level, or the `reference` rule is asked for and a reference
            slice has no labelled tumour.
    """
    folder = TRANSFER.folder(run_dir)
    settings = config.transfer
    edition = get_edition(config.edition)
    fitted = load_harmonisers(run_dir)
    check_level("transfer.level", settings.level, fitted)
    targets = [target_intensity(settings, reference) for _, reference in fitted]
    generator = _load_generator(config, run_dir)
    cases = read_cases(run_dir, "source")
    prepared = prepared_entries(run_dir, "source")
    (folder / "source").mkdir(exist_ok=True)

    entries = []
    paths = []
    without_tumour = 0
    figures = 0
    for number, case in enumerate(track(cases, TRANSFER.name)):
        source = np.asarray(case.image, dtype=np.float32)  # (Z, Y, X)
        mask = copied_structures(case.labels, settings.structures, edition)
        erased = translate(generator, source)

        # The cases go through the harmonisers in turn; each case has noise of its own, whatever the others need.
        turn = number % len(fitted)
        harmoniser, _ = fitted[turn]
        noise = noise_of(config.seed, number)
        harmonise = harmoniser.at_level(settings.level, noise)
        result = composite(source, mask, erased, settings, targets[turn], harmonise)

        image = Path("source") / f"{case.name}.npy"
        path = folder / image
        np.save(path, result.harmonised.astype(np.float16))
        paths.append(path)
        entry = derived_entry(prepared[case.name], case.name, image)
        entries.append(entry)
        if not any(case.tumour_voxels):
            without_tumour += 1
        if mask.any() and figures < FIGURES:
            figure = folder / "figures" / f"{case.name}.png"
            save_figure(figure, case.name, source, mask, result, settings)
            figures += 1

    index = folder / "index.json"
    content = {
        "cases": entries,
        "without_tumour": without_tumour,
        "matched_intensity": [asdict(target) if target else None for target in targets],
    }
    write_json(index, content)
    return [index, *paths]


def noise_of(seed: int, number: int) -> torch.Generator:
    """What the random parts of a run's case `number` are sampled with."""
    generator = torch.Generator()
    return generator.manual_seed(seed * NOISE_SEED_STEP + number)


def _load_generator(config: RunConfig, run_dir: Path) -> nn.Module:
    """The CycleGAN's phi0_AB."""
    generator = build_generator(config.cyclegan.generator)
    weights = read_tensors(CYCLEGAN.folder(run_dir) / "source_to_target.safetensors")
    generator.load_state_dict(weights)
    generator.to(pick_device())
    return generator.eval()


def save_figure(
    path: Path, name: str, source: np.ndarray, mask: np.ndarray, result: Composite, settings: TransferConfig
) -> None:
    """As Figure 2 of the paper: T1 and every step of the transfer by what it is; the largest section.

    Args:
        path: PNG to write.
        name: The case's.
        source: T1, (Z, Y, X) in [-1, 1].
        mask: The tumour, bool (Z, Y, X).
        result: What the transfer made of it.
        settings: By which it was made.
    """
    sections = mask.sum(axis=(1, 2))
    index = int(sections.argmax())
    titles = titles_of(settings)
    columns = {"T1": [source[index]]}
    for step, image in steps_of(result, settings).items():
        columns[titles[step]] = [image[index]]
    outlines = {"T1": [mask[index]]}
    save_sheet(path, columns, outlines, rows=[f"{name}\nslice {index}"], inches=3.0)
