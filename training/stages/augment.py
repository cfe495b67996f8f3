"""Tumour blending augmentation, the successor's way: synthetic T2 whose tumours also look otherwise. Sallé et al. 2023.

For each labelled T1 case I: J = phi0_AB(I), and copies of J in which the tumour's intensity (on [0, 1]) is multiplied
by a factor and then harmonised by the scales n*..N of the one-shot model. Small tumours and large uneven ones have
factors of their own; the cochlea's, where there are any, are for its own copies.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from training.config import AugmentConfig, RunConfig, TransferConfig
from training.data.intermediates import Translators
from training.data.slices import PreparedCase, read_cases
from training.diagnostics.contrast import size_class
from training.harmonisers.singan import SinGAN, load_cascades
from training.stage_table import AUGMENT, CYCLEGAN, PREPARE
from training.stages.transfer import transfer_case
from vestibule.editions import get_edition
from vestibule.errors import InputError
from vestibule.files import write_json
from vestibule.pipeline import pick_device
from vestibule.progress import track


def augment(config: RunConfig, run_dir: Path) -> list[Path]:
    """Write synthetic T2 of every source case and its altered copies, as float16 volumes with an index in `augment/`.

    Raises InputError where a level is out of range.
    """
    folder, settings = AUGMENT.folder(run_dir), config.augment
    models = load_cascades(run_dir, pick_device())
    scales = min(cascade.scales for cascade, _ in models)
    for scale in (settings.level, settings.cochlea_level):
        if not 1 <= scale < scales:
            raise InputError(f"augment: levels must be from 1 to {scales - 1}, got {scale}")
    (folder / "source").mkdir(exist_ok=True)
    prepared = json.loads((PREPARE.folder(run_dir) / "index.json").read_text(encoding="utf-8"))["cases"]
    entries = {entry["case"]: entry for entry in prepared if entry["domain"] == "source"}
    translators, written, index = Translators(run_dir), [], []
    for number, case in enumerate(track(read_cases(run_dir, "source"), AUGMENT.name)):
        plain = translators(CYCLEGAN, "source_to_target", np.asarray(case.image, dtype=np.float32))
        noise = torch.Generator().manual_seed(config.seed * 100_003 + number)
        copies = altered_copies(case, plain, models[number % len(models)][0], settings, config.edition, noise)
        for suffix, volume in {"": plain, **copies}.items():
            image = Path("source") / f"{case.name}{suffix}.npy"
            np.save(folder / image, volume.astype(np.float16))
            written.append(folder / image)
            entry = entries[case.name]
            label = str(Path("..") / PREPARE.name / entry["label"])
            index.append({**entry, "case": f"{case.name}{suffix}", "image": str(image), "label": label})
    write_json(folder / "index.json", {"cases": index})
    return [folder / "index.json", *written]


def altered_copies(
    case: PreparedCase,
    plain: np.ndarray,
    cascade: SinGAN,
    config: AugmentConfig,
    edition: int,
    noise: torch.Generator | None,
) -> dict[str, np.ndarray]:
    """Copies of `plain` (Z, Y, X) with another tumour or cochlea each, by the suffix that the case's name gets."""
    structures, copies = get_edition(edition).structures, {}
    for structure, scale in (("vs", config.level), ("cochlea", config.cochlea_level)):
        mask = np.isin(case.labels, structures[structure])
        if not mask.any():
            continue
        volume_mm3 = float(mask.sum() * np.prod(case.spacing_zyx))
        for number, factor in enumerate(factors_for(structure, volume_mm3, plain[mask], config)):
            altered = multiplied(plain, factor)
            way = TransferConfig(level=scale, rim_px=0.0)
            result = transfer_case(altered, mask, plain, cascade, None, way, noise)
            copies[f"_{structure}{number}"] = result.harmonised
    return copies


def factors_for(structure: str, volume_mm3: float, inside: np.ndarray, config: AugmentConfig) -> tuple[float, ...]:
    """What the intensities `inside` (N,), in [-1, 1], of a structure of `volume_mm3` are multiplied by, one a copy."""
    if structure == "cochlea":
        return config.cochlea_factors
    size = size_class(volume_mm3)
    if size == "small":
        return config.small_factors
    uneven = float(inside.std()) / 2 > config.large_sd
    return config.large_factors if size == "large" and uneven else ()


def multiplied(unit: np.ndarray, factor: float) -> np.ndarray:
    """`unit` in [-1, 1], multiplied on [0, 1] and clipped there; float32."""
    return (np.clip((unit + 1) / 2 * factor, 0, 1) * 2 - 1).astype(np.float32)
