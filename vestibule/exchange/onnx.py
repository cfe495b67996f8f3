"""Translators and segmenters as ONNX files, with a JSON file that says what has to be done around them."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn

from vestibule.editions import get_edition
from vestibule.errors import InputError
from vestibule.exchange.about import identity, image_steps, warning
from vestibule.files import file_sha256, write_json, write_text
from vestibule.networks import GeneratorConfig
from vestibule.pipeline import Model, load_model
from vestibule.weights import Bundle

OPSET = 17
"""Of 2022, which every runtime in use reads; the first with layer normalisation, the last that these networks need."""
DESCRIPTION = "model.json"
SCRIPT = "predict.py"
LARGEST_DIFFERENCE = 1e-3
"""Of T1 in [-1, 1], or of a logit; PyTorch and ONNX Runtime differ by a thousandth of that."""
COMBINED = "logits of mirrored images and of all files are averaged, then softmax over classes"


def write(bundle: Bundle, arms: list[str], folder: Path) -> None:
    """Write the networks of some arms into `folder`, each file once, and try each of them.

    Args:
        bundle: A verified bundle.
        arms: Those to write.
        folder: An empty folder.

    Raises:
        InputError: The bundle's parts do not fit each other, or a file does not compute what the network does.
    """
    files: dict[str, dict] = {}
    described = {}
    for arm in arms:
        model = load_model(bundle.path, arm, "cpu")
        entry = bundle.manifest["networks"][arm]
        translator = None
        if model.translator is not None:
            translator = _write_translator(model.translator, entry["translator"], folder, files)
        segmenter = _write_segmenter(model, entry["segmenter"], bundle, folder, files)
        described[arm] = {"translator": translator, "segmenter": segmenter}

    default = bundle.manifest["default_arm"]
    document = identity(bundle)
    document |= {
        "opset": OPSET,
        "default_arm": default if default in arms else arms[0],
        "image": image_steps(bundle),
        "arms": described,
        "files": files,
    }
    write_json(folder / DESCRIPTION, document)
    shutil.copyfile(Path(__file__).with_name("onnx_predict.py"), folder / SCRIPT)
    write_text(folder / "README.md", _readme(bundle, document))


def _write_translator(network: nn.Module, entry: dict, folder: Path, files: dict[str, dict]) -> dict:
    """Write a generator, with any number of slices of any size; what the JSON says of it."""
    name = _file_name(entry["tensors"])
    stride = GeneratorConfig(**entry["generator"]).stride
    if name not in files:
        axes = {0: "slices", 2: "rows", 3: "columns"}
        # The smallest that a deep network takes, and one of another shape.
        side = max(64, 2 * stride)
        sizes = [(1, 1, side, side), (2, 1, side, side + stride)]
        files[name] = _write_network(network, folder / name, ("t2", "t1"), axes, sizes)
    return {
        "file": name,
        "input": "t2: float32 (slices, 1, rows, columns) in [-1, 1]",
        "output": "t1: the same",
        "sides_divisible_by": stride,
    }


def _write_segmenter(model: Model, entry: dict, bundle: Bundle, folder: Path, files: dict[str, dict]) -> dict:
    """Write the network of each fold, with any number of patches; what the JSON says of them."""
    plan = model.segmenter.plan
    names = []
    for tensors, state in zip(entry["tensors"], model.segmenter.states, strict=True):
        name = _file_name(tensors)
        names.append(name)
        if name in files:
            continue
        network = model.segmenter.network
        network.load_state_dict(state)
        # Patches have one size: the norms within the network depend on it.
        sizes = [(count, 1, *plan.patch_size) for count in (1, 2)]
        files[name] = _write_network(network.eval(), folder / name, ("t1", "logits"), {0: "patches"}, sizes)
    (normalisation,) = plan.normalization_schemes
    components = {structure: vars(rule) for structure, rule in model.components.items()}
    return {
        "files": names,
        "input": "t1: float32 (patches, 1, *patch_size), of a normalised volume",
        "output": "logits: float32 (patches, classes, *patch_size), classes in the order of label values",
        "classes": len(get_edition(bundle.manifest["edition"]).labels),
        "normalisation": f"{normalisation} of the whole working volume, as nnU-Net's",
        "spacing_mm": list(plan.spacing),
        "resampling": "where the working volume has another spacing, as nnU-Net's plans say, and back",
        "patch_size": list(plan.patch_size),
        "axes": "z, y, x; a patch of two sides is one slice",
        "tile_step": entry["tile_step"],
        "window_weight": "Gaussian around the patch's middle, standard deviation an eighth of its sides, as nnU-Net's",
        "mirror_axes": entry["mirror_axes"],
        "combined": COMBINED,
        "components": components,
    }


def _write_network(
    network: nn.Module,
    path: Path,
    names: tuple[str, str],
    axes: Mapping[int, str],
    sizes: Sequence[tuple[int, ...]],
) -> dict:
    """Write a network as ONNX, and hold ONNX Runtime's results against PyTorch's.

    Args:
        network: Takes and gives one tensor.
        path: The file.
        names: Of input and output.
        axes: Names of the axes that may have any size.
        sizes: Of inputs to try; the first is what the network is traced with.

    Returns:
        What the JSON says of the file.

    Raises:
        InputError: The results differ.
    """
    generator = torch.Generator().manual_seed(0)
    inputs = [torch.rand(size, generator=generator) * 2 - 1 for size in sizes]
    source, target = names
    dynamic = {name: dict(axes) for name in names}
    with warnings.catch_warnings():
        # PyTorch's other exporter takes half a minute for what this one, which it would rather not keep, does at once.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (inputs[0],),
            path,
            input_names=[source],
            output_names=[target],
            dynamic_axes=dynamic,
            opset_version=OPSET,
            dynamo=False,
        )
    onnx.checker.check_model(path)

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    largest = 0.0
    for image in inputs:
        with torch.inference_mode():
            expected = network(image).numpy()
        (found,) = session.run(None, {source: image.numpy()})
        largest = max(largest, float(np.abs(found - expected).max()))
    # Asked so that NaN is refused too.
    if not largest <= LARGEST_DIFFERENCE:
        raise InputError(
            f"{path.name}: ONNX Runtime's result differs from PyTorch's by {largest:g}; nothing is written"
        )
    return {
        "sha256": file_sha256(path),
        "bytes": path.stat().st_size,
        "largest_difference_from_pytorch": largest,
    }


def _file_name(tensors: str) -> str:
    """The file of a bundle's tensors, which may lie in a folder there."""
    return tensors.replace("/", "_") + ".onnx"


def _readme(bundle: Bundle, document: dict) -> str:
    return f"""# ONNX files of the weights {document["name"]}

{warning(bundle)}

`{DESCRIPTION}` says what has to be done before, between and behind the networks: working grid, normalisation, patches,
labels. The default arm is `{document["default_arm"]}`. `{SCRIPT}` does it for one image, with numpy, nibabel and
onnxruntime alone:

```
python {SCRIPT} T2.nii.gz MASK.nii.gz ROW COLUMN
```

It leaves some things out. It does not look for the ears, as vestibule does: ROW and COLUMN are the middle between
them, in voxels from the front and from the patient's right. It neither mirrors nor resamples along z, and drops no
parts of a structure.
"""
