"""Tumour blending augmentation, the successor's way: synthetic T2 whose tumours also look otherwise. Sallé et al. 2023.

For each labelled T1 case I: J = phi0_AB(I), and copies of J in which the tumour's intensity (on [0, 1]) is multiplied
by a factor and then harmonised by the one-shot model. Small tumours, medium ones and large uneven ones have factors of
their own; the cochlea's, where there are any, are for its own copies. A second CycleGAN makes as many again.
With a site code J has the look of every site, and its copies that of one, by turns.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from training.config import AugmentConfig, RunConfig, TransferConfig
from training.data.intermediates import Translators, derived_entry, prepared_entries
from training.data.looks import looks_of
from training.data.raw_cases import KnownCases
from training.data.reference_check import expected_reference
from training.data.slices import PreparedCase, read_cases
from training.harmonisers.base import Harmoniser
from training.harmonisers.compositing import composite
from training.harmonisers.fitted import check_level, check_planned_level, load_harmonisers
from training.stage_table import AUGMENT
from training.stages.transfer import noise_of
from vestibule.editions import COCHLEA, LARGE, MEDIUM, SMALL, TUMOUR, Edition, get_edition
from vestibule.files import write_json
from vestibule.progress import track


def check(config: RunConfig, known: KnownCases) -> None:
    """Raise InputError where the harmoniser will lack a configured level."""
    reference = expected_reference(config, known)
    for key, level in config.augment.levels().items():
        check_planned_level(f"augment.{key}", level, config, reference)


def augment(config: RunConfig, run_dir: Path) -> list[Path]:
    """Write synthetic T2 of every source case, and its altered copies, to `augment/`: float16 volumes and an index.

    Args:
        config: Its sections `augment` and `edition`, and the seed.
        run_dir: Folder of a run with prepared cases, a CycleGAN and harmonisers.

    Returns:
        Paths of the index and of the volumes.

    Raises:
        InputError: The harmonisers lack a configured level.
    """
    folder = AUGMENT.folder(run_dir)
    settings = config.augment
    edition = get_edition(config.edition)
    fitted = load_harmonisers(run_dir)
    for key, level in settings.levels().items():
        check_level(f"augment.{key}", level, fitted)
    translators = Translators(run_dir)
    cases = read_cases(run_dir, "source")
    prepared = prepared_entries(run_dir, "source")
    (folder / "source").mkdir(exist_ok=True)

    entries = []
    paths = []
    looks = looks_of(config, run_dir)
    for number, case in enumerate(track(cases, AUGMENT.name)):
        source = np.asarray(case.image, dtype=np.float32)  # (Z, Y, X)
        turn = number % len(fitted)
        harmoniser, _ = fitted[turn]
        for order, look in enumerate(looks):
            plain = look.of(source, translators)
            # No two volumes of a run share their noise.
            noise = noise_of(config.seed, number + order * len(cases))
            volumes = {"": plain}
            # Sites take turns with the copies, or there would be three times as many.
            if look.has_turn(number):
                volumes |= altered_copies(case, plain, harmoniser, settings, edition, noise)
            for suffix, volume in volumes.items():
                name = f"{case.name}{look.suffix}{suffix}"
                image = Path("source") / f"{name}.npy"
                path = folder / image
                np.save(path, volume.astype(np.float16))
                paths.append(path)
                entry = derived_entry(prepared[case.name], name, image)
                entries.append(entry)

    index = folder / "index.json"
    write_json(index, {"cases": entries})
    return [index, *paths]


def altered_copies(
    case: PreparedCase,
    plain: np.ndarray,
    harmoniser: Harmoniser,
    config: AugmentConfig,
    edition: Edition,
    noise: torch.Generator | None,
) -> dict[str, np.ndarray]:
    """Copies of a synthetic T2 with another tumour or cochlea each.

    Args:
        case: The labelled case.
        plain: Its synthetic T2, float32 (Z, Y, X) in [-1, 1].
        harmoniser: What the altered structure goes through.
        config: Factors and levels.
        edition: What the labels mean.
        noise: Generator of the harmoniser's random parts.

    Returns:
        Float32 (Z, Y, X) by the suffix that the case's name gets.
    """
    copies = {}
    voxel_mm3 = np.prod(case.spacing_zyx)
    levels = {TUMOUR: config.level, COCHLEA: config.cochlea_level}
    for structure, level in levels.items():
        mask = edition.mask_of(case.labels, structure)
        if not mask.any():
            continue
        volume_mm3 = float(mask.sum() * voxel_mm3)
        size = edition.size_class(volume_mm3)
        factors = factors_for(structure, size, plain[mask], config)
        # The altered structure goes in with the intensities and the rim that the factor gives it.
        settings = TransferConfig(level=level, rim_px=0.0)
        for number, factor in enumerate(factors):
            # All of it is multiplied; what lies outside the structure is not copied.
            altered = multiplied(plain, factor)
            harmonise = harmoniser.at_level(level, noise)
            result = composite(altered, mask, plain, settings, harmonise=harmonise)
            copies[f"_{structure}{number}"] = result.harmonised
    return copies


def factors_for(structure: str, size: str, inside: np.ndarray, config: AugmentConfig) -> tuple[float, ...]:
    """What a structure's intensities are multiplied by, one factor a copy.

    Args:
        structure: Tumour or cochlea.
        size: Class of its volume.
        inside: Its intensities in [-1, 1], (N,).
        config: The factors.

    Returns:
        The factors; none where the structure is left as it is.
    """
    if structure == COCHLEA:
        return config.cochlea_factors
    if size == SMALL:
        return config.small_factors
    if size == MEDIUM:
        return config.medium_factors
    # On [0, 1] a spread is half of what it is on [-1, 1].
    sd = float(inside.std()) / 2
    if size == LARGE and sd > config.large_sd:
        return config.large_factors
    return ()


def multiplied(unit: np.ndarray, factor: float) -> np.ndarray:
    """`unit` in [-1, 1], multiplied on [0, 1] and clipped there; float32."""
    on_unit_interval = (unit + 1) / 2
    multiple = on_unit_interval * factor
    clipped = np.clip(multiple, 0, 1)
    back = clipped * 2 - 1
    return back.astype(np.float32)
