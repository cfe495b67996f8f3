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
from vestibule.exchange.mirrors import mirrors_of
from vestibule.exchange.onnx_steps import BeforeSegmenter, BehindSegmenter
from vestibule.files import file_sha256, write_json, write_text
from vestibule.networks import GeneratorConfig
from vestibule.pipeline import Model, load_model
from vestibule.weights import Bundle

OPSET = 17
"""Of 2022, which every runtime in use reads; the first with layer normalisation, the last that these networks need."""
DESCRIPTION = "model.json"
SCRIPT = "predict.py"
BEFORE = "t2_to_t1.onnx"
BEHIND = "logits_to_labels.onnx"
IMAGE = ["t2", "spacing_yx", "middle_yx"]
"""What both of these take of an image."""
LARGEST_DIFFERENCE = 1e-3
"""Of T1 in [-1, 1], or of a logit; PyTorch and ONNX Runtime differ by a thousandth of that. Of labels, the share."""
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
    chosen = default if default in arms else arms[0]
    script = _write_steps(bundle, chosen, described[chosen], folder, files)

    document = identity(bundle)
    document |= {
        "opset": OPSET,
        "default_arm": chosen,
        "image": image_steps(bundle),
        "arms": described,
        "script": script,
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


def _write_steps(bundle: Bundle, arm: str, described: dict, folder: Path, files: dict[str, dict]) -> dict:
    """Write what stands before and behind an arm's segmenter; what the script needs to know."""
    model = load_model(bundle.path, arm, "cpu")
    plan = model.segmenter.plan
    (scheme,) = plan.normalization_schemes
    patch = [1, 1, *plan.patch_size]
    # A network of slices has windows of one slice.
    sides = [1, *plan.patch_size][-3:]
    config = model.preprocessing
    segmenter = described["segmenter"]
    before = BeforeSegmenter(config, model.translator, scheme, sides, segmenter["tile_step"])
    behind = BehindSegmenter(config, sides)

    # Not half way between voxels, where two classes would have equal shares.
    spacing = torch.tensor([0.97, 1.07], dtype=torch.float64)
    middle = torch.tensor([20.37, 21.61], dtype=torch.float64)
    images, logits = [], []
    # Two images of different sizes: the first is what the steps are traced with.
    for slices, rows in ((sides[0] + 1, 40), (2 * sides[0] + 1, 36)):
        generator = torch.Generator().manual_seed(slices)
        t2 = torch.rand(slices, rows, 44, generator=generator)
        with torch.inference_mode():
            filled, _, _ = before.eval()(t2, spacing, middle)
        images.append((t2, spacing, middle))
        # Far apart, as those of a trained network are.
        values = 30 * torch.rand(segmenter["classes"], *filled.shape, generator=generator)
        logits.append((values, t2, spacing, middle))

    image_axes = {0: "slices", 1: "rows", 2: "columns"}
    working_axes = {0: "working_slices"}
    axes = {"t2": image_axes, "t1": working_axes, "corners": {0: "windows"}}
    files[BEFORE] = _write_graph(before, folder / BEFORE, (IMAGE, ["t1", "corners", "weights"]), axes, images)
    axes = {"t2": image_axes, "logits": {1: "working_slices"}, "labels": image_axes}
    files[BEHIND] = _write_graph(behind, folder / BEHIND, (["logits", *IMAGE], ["labels"]), axes, logits)
    return {
        "arm": arm,
        "before": BEFORE,
        "folds": segmenter["files"],
        "behind": BEHIND,
        "classes": segmenter["classes"],
        "patch": patch,
        "flips": [[], *mirrors_of(segmenter["mirror_axes"])],
    }


def _write_network(
    network: nn.Module,
    path: Path,
    names: tuple[str, str],
    axes: Mapping[int, str],
    sizes: Sequence[tuple[int, ...]],
) -> dict:
    """Write a network of one tensor as ONNX, and try it with random values.

    Args:
        network: Takes and gives one tensor.
        path: The file.
        names: Of input and output.
        axes: Names of the axes that may have any size.
        sizes: Of inputs to try; the first is what the network is traced with.

    Returns:
        What the JSON says of the file.

    Raises:
        InputError: ONNX Runtime's results differ from PyTorch's.
    """
    generator = torch.Generator().manual_seed(0)
    trials = []
    for size in sizes:
        values = torch.rand(size, generator=generator) * 2 - 1
        trials.append((values,))
    source, target = names
    return _write_graph(network, path, ([source], [target]), {source: axes, target: axes}, trials)


def _write_graph(
    module: nn.Module,
    path: Path,
    names: tuple[list[str], list[str]],
    axes: Mapping[str, Mapping[int, str]],
    trials: Sequence[tuple[torch.Tensor, ...]],
) -> dict:
    """Write a module as ONNX, and hold ONNX Runtime's results against PyTorch's.

    Args:
        module: Takes and gives tensors.
        path: The file.
        names: Of its inputs, and of its outputs.
        axes: By the name of an input or output, names of the axes that may have any size.
        trials: Inputs to try; the first are what the module is traced with.

    Returns:
        What the JSON says of the file.

    Raises:
        InputError: The results differ.
    """
    sources, targets = names
    dynamic = {name: dict(named) for name, named in axes.items()}
    with warnings.catch_warnings():
        # PyTorch's other exporter takes half a minute for what this one, which it would rather not keep, does at once.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            trials[0],
            path,
            input_names=sources,
            output_names=targets,
            dynamic_axes=dynamic,
            opset_version=OPSET,
            dynamo=False,
        )
    onnx.checker.check_model(path)

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    largest = 0.0
    for inputs in trials:
        with torch.inference_mode():
            result = module(*inputs)
        expected = (result,) if isinstance(result, torch.Tensor) else result
        given = {name: values.numpy() for name, values in zip(sources, inputs, strict=True)}
        for wanted, found in zip(expected, session.run(None, given), strict=True):
            largest = max(largest, _difference(found, wanted.numpy()))
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


def _difference(found: np.ndarray, wanted: np.ndarray) -> float:
    """The largest difference of real values; of whole ones, such as labels, the share that differs."""
    if np.issubdtype(found.dtype, np.integer):
        return float((found != wanted).mean())
    return float(np.abs(found - wanted).max())


def _file_name(tensors: str) -> str:
    """The file of a bundle's tensors, which may lie in a folder there."""
    return tensors.replace("/", "_") + ".onnx"


def _readme(bundle: Bundle, document: dict) -> str:
    return f"""# ONNX files of the weights {document["name"]}

{warning(bundle)}

`{DESCRIPTION}` says what has to be done before, between and behind the networks: working grid, normalisation, patches,
labels. The default arm is `{document["default_arm"]}`. `{SCRIPT}` does it for one image, in some thirty lines with
numpy, nibabel and onnxruntime alone: `{BEFORE}` and `{BEHIND}` compute what stands before and behind the segmenter.

```
python {SCRIPT} T2.nii.gz MASK.nii.gz ROW COLUMN
```

It leaves some things out. It does not look for the ears, as vestibule does: ROW and COLUMN are the middle between
them, in voxels from the front and from the patient's right. It does not resample along z, and drops no parts of a
structure.
"""
