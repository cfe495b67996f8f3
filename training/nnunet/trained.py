"""The segmenter of a finished training, as it lies in its stage's folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from training.config import RunConfig
from vestibule.device import pick_device
from vestibule.errors import InputError
from vestibule.files import file_sha256, read_json
from vestibule.tensors import read_tensors

if TYPE_CHECKING:
    from vestibule.segmentation import Segmenter


def load_segmenter(
    config: RunConfig, folder: Path, folds: Sequence[str] | None = None, mirrored: bool | None = None
) -> Segmenter:
    """The segmenter that `train_on` left in a folder.

    Args:
        config: The configuration of the run.
        folder: Where its weights, plans and description lie.
        folds: Names of those to average; None: all that are configured.
        mirrored: Whether to average over mirrored images; None: as configured.

    Returns:
        The segmenter, on the device that there is.

    Raises:
        InputError: A document is missing.
    """
    # Here, since nnU-Net takes seconds to import.
    from vestibule.pipeline import focus_of
    from vestibule.segmentation import Segmenter

    settings = config.segmenter
    if mirrored is None:
        mirrored = settings.mirror_at_test
    parameters = []
    for fold in folds or settings.folds or ("all",):
        weights = read_tensors(folder / f"fold_{fold}.safetensors")
        parameters.append(weights)
    plans = read_json(folder / "plans.json")
    dataset = read_json(folder / "dataset.json")
    if plans is None or dataset is None:
        raise InputError(f"{folder}: has no whole plans.json and dataset.json; delete it and run the stage again")
    return Segmenter(
        plans=plans,
        dataset=dataset,
        configuration=settings.configuration,
        parameters=parameters,
        device=pick_device(),
        mirror_axes=settings.mirror_axes(mirrored),
        tile_step=settings.tile_step,
        focus=focus_of(config.prepare) if settings.focus else None,
    )


def is_trained(fold: int | str, folder: Path) -> bool:
    """Whether a fold's weights are in a folder, and every byte of them is as it was written."""
    weights = folder / f"fold_{fold}.safetensors"
    finished = read_json(folder / f"fold_{fold}.json")
    if not finished or not weights.is_file():
        return False
    return file_sha256(weights) == finished["sha256"]
