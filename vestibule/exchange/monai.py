"""A bundle of MONAI: the whole prediction as one TorchScript file, with the configuration that runs it.

MONAI has no transform that finds the ears, and its resampling is another. So its transforms load, orient and save the
image; everything between is in the file, in voxels of the image.
"""

from __future__ import annotations

import warnings
from importlib import metadata
from pathlib import Path

import numpy as np
import torch
from monai.bundle import ConfigParser
from torch import nn

from vestibule.checkpoints import save_state
from vestibule.editions import get_edition
from vestibule.errors import InputError
from vestibule.exchange.about import NOT_MEDICAL, PHANTOM, TERMS, identity, warning
from vestibule.exchange.labels import label_names
from vestibule.exchange.scripted.prediction import ScriptedPrediction
from vestibule.exchange.scripted.segmenter import ScriptedSegmenter
from vestibule.files import write_json, write_text
from vestibule.networks import GeneratorConfig
from vestibule.pipeline import Model, load_model
from vestibule.weights import Bundle

SCHEMA = "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20240725.json"
"""Of `metadata.json`, the newest. Only `monai.bundle verify_metadata` fetches it."""
PROGRAM = "models/model.ts"
STATE = "models/model.pt"
"""The same tensors alone; MONAI's specification asks for the file."""
POSTFIX = "Label"
"""What the name of a mask ends in."""
AXES = [["L", "R"], ["P", "A"], ["I", "S"]]
"""MONAI's names of the two ends of each axis."""


def write(bundle: Bundle, arms: list[str], folder: Path) -> None:
    """Write an arm into `folder`: the program, MONAI's metadata and configuration, a page and the licence.

    Args:
        bundle: A verified bundle.
        arms: The one arm.
        folder: An empty folder.

    Raises:
        InputError: The bundle's parts do not fit each other, its plans ask for what the program cannot do, or the
            disk refuses.
    """
    (arm,) = arms
    model = load_model(bundle.path, arm, "cpu")
    prediction = scripted(bundle, model)
    with warnings.catch_warnings():
        # PyTorch would rather have another format, which holds no loop whose end the data decide.
        warnings.simplefilter("ignore")
        program = torch.jit.script(prediction)
    (folder / PROGRAM).parent.mkdir()
    try:
        program.save(str(folder / PROGRAM))
    except RuntimeError as error:
        raise InputError(f"{folder / PROGRAM}: cannot be written; is the disk full?") from error
    save_state(prediction.state_dict(), folder / STATE)

    write_json(folder / "configs" / "metadata.json", _metadata(bundle, arm))
    write_json(folder / "configs" / "inference.json", _inference())
    # Refuses what MONAI cannot read.
    ConfigParser.load_config_files([folder / "configs" / "inference.json", folder / "configs" / "metadata.json"])
    write_text(folder / "docs" / "README.md", _readme(bundle, arm))
    write_text(folder / "LICENSE", _licence(bundle))


def scripted(bundle: Bundle, model: Model) -> ScriptedPrediction:
    """The prediction of a model in tensors alone, ready for `torch.jit.script`.

    Raises InputError where the plans ask for what it cannot do.
    """
    entry = bundle.manifest["networks"][model.arm]
    segmenter_entry = entry["segmenter"]
    plans = bundle.document(segmenter_entry["plans"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        translator = None
        if model.translator is not None:
            translator = _traced(model.translator, GeneratorConfig(**entry["translator"]["generator"]))
        segmenter = ScriptedSegmenter(
            model.segmenter,
            plans["transpose_forward"],
            segmenter_entry["mirror_axes"],
            segmenter_entry["tile_step"],
        )
    edition = get_edition(model.edition)
    prediction = ScriptedPrediction(model.preprocessing, translator, segmenter, model.components, edition)
    return prediction.eval()


def _traced(generator: nn.Module, config: GeneratorConfig) -> nn.Module:
    """A generator for any number of slices of any size."""
    side = max(64, 2 * config.stride)
    return torch.jit.trace(generator, torch.zeros(2, 1, side, side + config.stride))


def _metadata(bundle: Bundle, arm: str) -> dict:
    """What MONAI's `metadata.json` says of the bundle."""
    manifest = bundle.manifest
    labels = label_names(get_edition(manifest["edition"]))
    by_value = {str(value): name for name, value in labels.items()}
    scores = {}
    for structure, values in manifest["scores"].get("arms", {}).get(arm, {}).items():
        scores[f"mean_dice_{structure}"] = values["dice"]["mean"]
    image = {
        "type": "image",
        "format": "magnitude",
        "modality": "MR",
        "num_channels": 1,
        "spatial_shape": ["*", "*", "*"],
        "dtype": "float32",
        "value_range": [],
        "is_patch_data": False,
        "channel_def": {"0": "T2, axes towards the patient's left, back and head"},
    }
    pred = image | {
        "format": "segmentation",
        "dtype": "uint8",
        "value_range": [0, max(labels.values())],
        "channel_def": by_value,
    }
    return {
        "schema": SCHEMA,
        "version": "1.0.0",
        "changelog": {"1.0.0": f"exported by {identity(bundle)['made_by']}"},
        "monai_version": metadata.version("monai"),
        "pytorch_version": metadata.version("torch").partition("+")[0],
        "numpy_version": np.__version__,
        "required_packages_version": {"nibabel": metadata.version("nibabel"), "pytorch-ignite": "0.4.11"},
        "name": manifest["name"],
        "task": "Segmentation of vestibular schwannoma and cochlea on high-resolution T2 MRI",
        "description": f"Arm {arm} of the weights {manifest['name']}, crossMoDA {manifest['edition']}. {bundle.notice}",
        "authors": "whoever trained the weights, with vestibule",
        "copyright": "see LICENSE",
        "data_type": "nibabel",
        "image_classes": "one channel of T2, any scale of intensities",
        "pred_classes": ", ".join(f"{value}: {name}" for value, name in by_value.items()),
        "eval_metrics": scores,
        "intended_use": NOT_MEDICAL,
        "references": ["Salle et al. Synthese de tumeurs par modele generatif one-shot. ORASIS 2021. hal-03339729."],
        "network_data_format": {"inputs": {"image": image}, "outputs": {"pred": pred}},
        "vestibule": identity(bundle),
    }


def _inference() -> dict:
    """MONAI's configuration of a prediction: every image of a folder, one mask each."""
    preprocessing = [
        {"_target_": "LoadImaged", "keys": "image", "image_only": True, "ensure_channel_first": True},
        {"_target_": "Orientationd", "keys": "image", "axcodes": "LPS", "labels": AXES},
        "$lambda case: {**case, 'spacing': case['image'].pixdim}",
    ]
    postprocessing = [
        {
            "_target_": "Invertd",
            "keys": "pred",
            "transform": "@preprocessing",
            "orig_keys": "image",
            "nearest_interp": True,
        },
        {
            "_target_": "SaveImaged",
            "keys": "pred",
            "output_dir": "@output_dir",
            "output_postfix": POSTFIX,
            "output_dtype": "$np.uint8",
            "separate_folder": False,
            "resample": False,
        },
    ]
    return {
        "imports": ["$import pathlib", "$import numpy as np", "$import torch"],
        "bundle_root": ".",
        "dataset_dir": "$@bundle_root + '/images'",
        "output_dir": "$@bundle_root + '/masks'",
        "device": "$torch.device('cuda' if torch.cuda.is_available() else 'cpu')",
        "network_def": {
            "_target_": "torch.jit.load",
            "f": f"$@bundle_root + '/{PROGRAM}'",
            "map_location": "@device",
        },
        "preprocessing": {"_target_": "Compose", "transforms": preprocessing},
        "dataset": {
            "_target_": "Dataset",
            "data": "$[{'image': str(path)} for path in sorted(pathlib.Path(@dataset_dir).glob('*.nii*'))]",
            "transform": "@preprocessing",
        },
        "dataloader": {"_target_": "DataLoader", "dataset": "@dataset", "batch_size": 1, "num_workers": 0},
        "inferer": {"_target_": "SimpleInferer"},
        "postprocessing": {"_target_": "Compose", "transforms": postprocessing},
        "evaluator": {
            "_target_": "SupervisedEvaluator",
            "device": "@device",
            "val_data_loader": "@dataloader",
            "network": "@network_def",
            "prepare_batch": {"_target_": "PrepareBatchExtraInput", "extra_keys": "spacing"},
            "inferer": "@inferer",
            "postprocessing": "@postprocessing",
            "amp": False,
        },
        "run": ["$@evaluator.run()"],
    }


def _licence(bundle: Bundle) -> str:
    """This toolkit's for weights of its phantoms; else the terms of the data decide."""
    if bundle.manifest["intended_use"] != PHANTOM:
        return TERMS
    return "Apache License, Version 2.0: https://www.apache.org/licenses/LICENSE-2.0\n"


def _readme(bundle: Bundle, arm: str) -> str:
    return f"""# {bundle.manifest["name"]}, arm {arm}

{warning(bundle)}

Run it with `pip install monai nibabel pytorch-ignite fire`, from this folder:

```
python -m monai.bundle run --config_file configs/inference.json --dataset_dir IMAGES --output_dir MASKS
```

IMAGES holds T2 images as NIfTI (`.nii.gz`, `.nii`). A mask gets its image's name with `_{POSTFIX}`, and its grid.

`{PROGRAM}` is the whole prediction in TorchScript: it finds the ears, resamples, translates T2 to T1, segments, and
gives labels on the image's own grid. It takes the image (B, 1, X, Y, Z) with axes towards the patient's left, back and
head, and the spacing of each (B, 3) in mm. To check it with random values, give them a size:

```
python -m monai.bundle verify_net_in_out --net_id network_def --meta_file configs/metadata.json \\
  --config_file configs/inference.json --any 64
```

Images that `vestibule predict` would refuse, such as a file with a damaged header, are not told apart here. On a GPU,
masks may differ from its own in a few voxels, since it computes there with less precision.
"""
