"""A bundle's segmenter as a model folder of nnU-Net, as nnU-Net's commands and SlicerNNUnet read it.

The translator is not in it: it segments T1, or what looks like it.
"""

from __future__ import annotations

import re
from pathlib import Path

from vestibule import __version__
from vestibule.checkpoints import save_state
from vestibule.editions import get_edition
from vestibule.errors import InputError
from vestibule.exchange.about import warning
from vestibule.exchange.labels import label_names
from vestibule.files import write_json, write_text
from vestibule.pipeline import load_model
from vestibule.weights import Bundle

DATASET = "Dataset001_vestibule"
"""nnU-Net tells a dataset by its number, SlicerNNUnet by the folder's name."""
TRAINER = "nnUNetTrainer"
PLANS = "nnUNetPlans"
CHECKPOINT = "checkpoint_final.pth"
SETTINGS = "vestibule_settings.json"
"""File beside nnU-Net's own with what nnU-Net has no place for; `weights import` reads it."""
_PLAIN = re.compile(r"\w+", re.ASCII)


def write(bundle: Bundle, arms: list[str], folder: Path) -> None:
    """Write the segmenter of an arm into `folder`: dataset, plans, and a checkpoint for each fold.

    Args:
        bundle: A verified bundle.
        arms: The one arm.
        folder: An empty folder.

    Raises:
        InputError: The bundle's parts do not fit each other, or the disk refuses.
    """
    (arm,) = arms
    model = load_model(bundle.path, arm, "cpu")
    entry = bundle.manifest["networks"][arm]["segmenter"]
    edition = get_edition(bundle.manifest["edition"])
    configuration = entry["configuration"]
    # It becomes the name of a folder.
    if not _PLAIN.fullmatch(configuration):
        raise InputError(f"{bundle.path}: configuration {configuration!r:.80} must be letters, digits and _")

    inner = folder / DATASET / f"{TRAINER}__{PLANS}__{configuration}"
    plans = bundle.document(entry["plans"])
    plans |= {"dataset_name": DATASET, "plans_name": PLANS}
    plans.setdefault("image_reader_writer", "SimpleITKIO")
    dataset = bundle.document(entry["dataset"])
    dataset |= {"labels": label_names(edition), "file_ending": ".nii.gz"}
    dataset.setdefault("numTraining", 0)
    write_json(inner / "plans.json", plans)
    write_json(inner / "dataset.json", dataset)

    # Numbered whatever they were called: SlicerNNUnet takes numbers alone.
    for fold, state in enumerate(model.segmenter.states):
        checkpoint = {
            "network_weights": state,
            "trainer_name": TRAINER,
            "init_args": {"configuration": configuration, "fold": fold},
            "inference_allowed_mirroring_axes": tuple(entry["mirror_axes"]) or None,
        }
        save_state(checkpoint, inner / f"fold_{fold}" / CHECKPOINT)

    settings = {
        "vestibule": __version__,
        "notice": bundle.notice,
        "intended_use": bundle.manifest["intended_use"],
        "edition": edition.year,
        "arm": arm,
        "tile_step": entry["tile_step"],
        "mirror_axes": entry["mirror_axes"],
        "components": entry.get("components", {}),
        "preprocessing": bundle.manifest["preprocessing"],
    }
    write_json(inner / SETTINGS, settings)
    write_text(folder / "README.md", _readme(bundle, entry, model.translator is not None, inner.relative_to(folder)))


def _readme(bundle: Bundle, entry: dict, translates: bool, inner: Path) -> str:
    """What the folder is, and how nnU-Net predicts with it as this toolkit does."""
    manifest = bundle.manifest
    rows, columns = manifest["preprocessing"].get("size_yx", ("?", "?"))
    spacing = " x ".join(str(step) for step in manifest["preprocessing"].get("spacing_yx_mm", ("?", "?")))
    options = f"-step_size {entry['tile_step']:g}"
    if not entry["mirror_axes"]:
        options += " --disable_tta"
    folds = " ".join(str(number) for number in range(len(entry["tensors"])))
    segments = "It segments T2 images."
    if translates:
        segments = (
            "It segments contrast-enhanced T1 images, and images that look like them. **The translator from T2 to T1 "
            "is not in it**: on a T2 image its mask means nothing."
        )
    return f"""# nnU-Net of the weights {manifest["name"]}

{warning(bundle)}

{segments}
It was trained on images with axes LPS, cropped in plane to {rows} x {columns} voxels of {spacing} mm around
both inner ears. Crop an image likewise.

```
nnUNetv2_predict_from_modelfolder -i IMAGES -o MASKS -m {inner} -f {folds} {options}
```

In IMAGES, files are called `CASE_0000.nii.gz`. With nnU-Net's `nnUNet_results` set to this folder,
`nnUNetv2_predict -d 1` finds it, too. In 3D Slicer's extension NNUNet, choose this folder as the model's path, and the
folds {folds.replace(" ", ",")}.
"""
