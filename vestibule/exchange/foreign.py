"""A model folder of nnU-Net from anyone: read and refused in one place, so that no part of it runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vestibule.bundle_check import MAX_FOLDS, check_settings
from vestibule.checkpoints import read_foreign_checkpoint
from vestibule.editions import Edition
from vestibule.errors import InputError
from vestibule.exchange.labels import check_labels
from vestibule.exchange.nnunet import SETTINGS
from vestibule.files import file_sha256
from vestibule.finite import require_finite
from vestibule.networks import shapes_of
from vestibule.plans import check_dataset, check_plans
from vestibule.weights import read_document

if TYPE_CHECKING:
    import torch

TILE_STEP = 0.5
"""nnU-Net's own."""
SCALE_FREE = ("ZScoreNormalization", "RescaleTo01Normalization")
"""Normalisations that give the same whatever the scale of intensities: here a T1 image has them in [-1, 1]."""


@dataclass(frozen=True)
class ForeignModel:
    """A trained nnU-Net, read and checked."""

    plans: dict
    dataset: dict
    configuration: str
    folds: dict[str, dict[str, torch.Tensor]]
    """Parameters of each fold, by the fold's name."""
    mirror_axes: list[int]
    tile_step: float
    components: dict
    record: dict
    """Where it came from, for the manifest."""

    def entry(self, prefix: str) -> dict:
        """What the manifest says of it; its files begin with `prefix`."""
        entry = {
            "plans": f"{prefix}_plans",
            "dataset": f"{prefix}_dataset",
            "configuration": self.configuration,
            "tensors": [f"{prefix}_{fold}" for fold in self.folds],
            "mirror_axes": self.mirror_axes,
            "tile_step": self.tile_step,
        }
        if self.components:
            entry["components"] = self.components
        return entry


def read_model(folder: Path, checkpoint: str, edition: Edition) -> ForeignModel:
    """Read a model folder: dataset, plans and a checkpoint for each fold.

    Args:
        folder: The model folder, or one above it.
        checkpoint: File of a fold that holds its weights.
        edition: Whose labels it must have.

    Returns:
        The model.

    Raises:
        InputError: A file is missing or damaged, a pickle holds more than tensors, the plans ask for an unknown
            network, or labels, channels or intensities are not those of the edition.
    """
    inner = _model_folder(folder)
    dataset_path = inner / "dataset.json"
    dataset = read_document(dataset_path)
    check_dataset(dataset_path, dataset)
    check_labels(dataset_path, dataset["labels"], edition)

    contents = {}
    for path in _checkpoints(inner, checkpoint):
        contents[path] = read_foreign_checkpoint(path)
    first, content = next(iter(contents.items()))
    configuration = _configuration(first, content)
    plans_path = inner / "plans.json"
    plans = read_document(plans_path)
    check_plans(plans_path, plans, configuration)
    _check_intensities(plans_path, plans, configuration)

    settings = {}
    settings_path = inner / SETTINGS
    if settings_path.is_file():
        settings = read_document(settings_path)
    model = ForeignModel(
        plans=plans,
        dataset=dataset,
        configuration=configuration,
        folds=_parameters(contents, plans, dataset, configuration),
        mirror_axes=_mirror_axes(first, content, plans, configuration),
        tile_step=settings.get("tile_step", TILE_STEP),
        components=settings.get("components", {}),
        record=_record(inner, contents),
    )
    where = settings_path if settings else first
    try:
        check_settings(where, model.entry("model"), edition)
    except InputError:
        raise
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{where}: components: {error}") from error
    return model


def _model_folder(folder: Path) -> Path:
    """The folder with dataset.json: `folder` itself, or the one below it."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected a model folder of nnU-Net")
    if (folder / "dataset.json").is_file():
        return folder
    found = sorted(path.parent for path in [*folder.glob("*/dataset.json"), *folder.glob("*/*/dataset.json")])
    if len(found) == 1:
        return found[0]
    if not found:
        raise InputError(f"{folder}: no dataset.json in it; expected a model folder of nnU-Net, with plans and folds")
    names = ", ".join(str(path.relative_to(folder)) for path in found)
    raise InputError(f"{folder}: holds several models; name one of {names}")


def _checkpoints(inner: Path, name: str) -> list[Path]:
    """The checkpoints of all folds; as for nnU-Net, `fold_all` counts where there is no other."""
    paths = sorted(inner.glob(f"fold_*/{name}"))
    numbered = [path for path in paths if path.parent.name != "fold_all"]
    paths = numbered or paths
    if not paths:
        raise InputError(f"{inner}: no fold_*/{name} in it; is the training finished? Name another with --checkpoint")
    if len(paths) > MAX_FOLDS:
        raise InputError(f"{inner}: {len(paths)} folds are more than the {MAX_FOLDS} that a bundle holds")
    return paths


def _configuration(path: Path, content: dict) -> str:
    arguments = content.get("init_args")
    name = arguments.get("configuration") if isinstance(arguments, dict) else None
    if not isinstance(name, str):
        raise InputError(f"{path}: names no configuration; expected a checkpoint of nnU-Net version 2")
    return name


def _mirror_axes(path: Path, content: dict, plans: dict, configuration: str) -> list[int]:
    """Axes along which the model may be mirrored at prediction, as its training has it."""
    axes = content.get("inference_allowed_mirroring_axes") or []
    dimensions = len(_resolved(plans, configuration)["patch_size"])
    known = list(range(dimensions))
    if not isinstance(axes, tuple | list) or any(axis not in known for axis in axes):
        raise InputError(f"{path}: inference_allowed_mirroring_axes must be some of {known}, got {axes!r:.80}")
    return list(axes)


def _resolved(plans: dict, configuration: str) -> dict[str, Any]:
    """A configuration with what it inherits; known to end, and to name what is there."""
    configurations = plans["configurations"]
    values: dict[str, Any] = {}
    name = configuration
    while name:
        values = configurations[name] | values
        name = configurations[name].get("inherits_from")
    return values


def _check_intensities(path: Path, plans: dict, configuration: str) -> None:
    """Refuse a normalisation that suits its own training images alone."""
    values = _resolved(plans, configuration)
    (scheme,) = values["normalization_schemes"]
    if scheme not in SCALE_FREE:
        known = ", ".join(SCALE_FREE)
        raise InputError(
            f"{path}: {scheme} depends on the scale of intensities, and T1 lies in [-1, 1] here; use {known}"
        )
    if any(values.get("use_mask_for_norm") or []):
        raise InputError(f"{path}: use_mask_for_norm asks for images whose background is 0, which T1 has not here")
    norm = values["architecture"]["arch_kwargs"].get("norm_op") or ""
    if "BatchNorm" in norm:
        raise InputError(f"{path}: {norm} keeps statistics beside its parameters, which bundles do not hold")


def _parameters(
    contents: dict[Path, dict], plans: dict, dataset: dict, configuration: str
) -> dict[str, dict[str, torch.Tensor]]:
    """The parameters of the planned network in each checkpoint, without the further names that nnU-Net gives them."""
    from vestibule.segmentation import planned_parameters

    planned = planned_parameters(plans, dataset, configuration)
    folds = {}
    for path, content in contents.items():
        if _configuration(path, content) != configuration:
            raise InputError(f"{path}: is of another configuration than the first fold, {configuration}")
        weights = content.get("network_weights")
        if not isinstance(weights, dict):
            raise InputError(f"{path}: holds no network_weights; expected a checkpoint of nnU-Net version 2")
        missing = [name for name in planned if name not in weights]
        if missing:
            raise InputError(f"{path}: lacks {len(missing)} parameters of the planned network, such as {missing[0]}")
        own = {}
        for name in planned:
            own[name] = weights[name].detach().float()
        if shapes_of(own) != shapes_of(planned):
            raise InputError(f"{path}: its weights have other shapes than the network in plans.json")
        require_finite(own, path)
        folds[path.parent.name] = own
    return folds


def _record(inner: Path, contents: dict[Path, dict]) -> dict:
    """Where the model came from: names and sums, no path of a machine."""
    trainer = next(iter(contents.values())).get("trainer_name")
    files = {}
    for path in [inner / "dataset.json", inner / "plans.json", *contents]:
        files[path.relative_to(inner).as_posix()] = file_sha256(path)
    return {"folder": inner.name, "dataset": inner.parent.name, "trainer": str(trainer), "files": files}
