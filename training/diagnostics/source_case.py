"""The intermediates of a labelled T1 case on its way through a finished run: what is measured and plotted of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from training.config import TransferConfig, build
from training.data.intermediates import Translators, copied_structures
from training.data.slices import PreparedCase, read_cases
from training.harmonisers.compositing import Composite, Intensity, composite
from training.harmonisers.steps import COPY_MATCHED, SYNTHETIC_T2, steps_of
from training.run_folder import is_done, recorded_config
from training.stage_table import CYCLEGAN, PIX2PIX, TRANSFER
from vestibule.editions import get_edition
from vestibule.files import read_json

T1 = "T1"
T1_BY_CYCLEGAN = "T1 back, CycleGAN"
T1_BY_PIX2PIX = "T1 back, pix2pix"


def source_intermediates(case: PreparedCase, run_dir: Path, translators: Translators) -> dict[str, np.ndarray]:
    """The intermediates of a labelled T1 case.

    T1; T2 as the CycleGAN gives it, with the copy as on T1, with the copy that enters the harmoniser, and B'; T1 back
    from the CycleGAN's T2 by the CycleGAN, and from B' by pix2pix. Those of stages that the run does not have are left
    out.

    Args:
        case: A case of the source domain.
        run_dir: Folder of the run.
        translators: Of the same run.

    Returns:
        Name -> float32 (Z, Y, X) in [-1, 1], in the order above.

    Raises:
        InputError: The CycleGAN is not done.
    """
    source = np.asarray(case.image, dtype=np.float32)
    erased = translators(CYCLEGAN, "source_to_target", source)
    images = {
        T1: source,
        SYNTHETIC_T2: erased,
    }
    transferred = None
    if is_done(run_dir, TRANSFER):
        recorded = recorded_config(run_dir, TRANSFER)
        settings = build(TransferConfig, recorded[TRANSFER.name], TRANSFER.name)
        target = _target_of(run_dir, case)
        result = _transfer_of(case, run_dir, settings, target, erased)
        images |= steps_of(result, settings)
        if settings.intensity != "none" and target is None:
            # The run does not tell what the copy was matched to.
            images.pop(COPY_MATCHED, None)
        transferred = result.harmonised

    # T1 again, by both translators: whether a tumour survives depends on the way back, too.
    images[T1_BY_CYCLEGAN] = translators(CYCLEGAN, "target_to_source", erased)
    if transferred is not None and is_done(run_dir, PIX2PIX):
        images[T1_BY_PIX2PIX] = translators(PIX2PIX, "generator", transferred)
    return images


def _transfer_of(
    case: PreparedCase, run_dir: Path, settings: TransferConfig, target: Intensity | None, erased: np.ndarray
) -> Composite:
    """What the transfer made of a case: the result as it was kept, and the steps before it made again.

    Args:
        case: The case.
        run_dir: Folder of the run.
        settings: Of its transfer.
        target: What the copy was matched to.
        erased: The synthetic T2 (Z, Y, X).

    Returns:
        All steps, float32 (Z, Y, X).
    """
    edition = get_edition(recorded_config(run_dir, TRANSFER)["edition"])
    mask = copied_structures(case.labels, settings.structures, edition)
    source = np.asarray(case.image, dtype=np.float32)
    # Nothing is harmonised again: the steps before do not depend on how.
    steps = composite(source, mask, erased, settings, target, harmonise=_unchanged)

    kept = {other.name: other for other in read_cases(run_dir, "source", TRANSFER)}
    harmonised = np.asarray(kept[case.name].image, dtype=np.float32)
    return replace(steps, harmonised=harmonised)


def _unchanged(slices: np.ndarray) -> np.ndarray:
    return slices


def _target_of(run_dir: Path, case: PreparedCase) -> Intensity | None:
    """What the copy of a case was matched to; None where it was not, or the run does not tell."""
    index = read_json(TRANSFER.folder(run_dir) / "index.json") or {}
    # Runs of earlier versions call it otherwise.
    by_harmoniser = index.get("matched_intensity") or index.get("brought_to")
    if not by_harmoniser:
        return None
    # The cases went through the harmonisers in turn.
    names = [other.name for other in read_cases(run_dir, "source")]
    place = names.index(case.name)
    found = by_harmoniser[place % len(by_harmoniser)]
    return Intensity(**found) if found else None
