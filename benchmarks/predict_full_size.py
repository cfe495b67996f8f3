"""What a case of the challenge's size takes to segment with the networks of a configuration: seconds, memory, by step.

    python benchmarks/predict_full_size.py --out full --config configs/crossmoda2021.yaml
    python benchmarks/predict_full_size.py --out full --config configs/crossmoda2021.yaml --everywhere --folds 1
    python benchmarks/predict_full_size.py --out tiny --config configs/phantom.yaml --shape 28 128 128

The image is a phantom, by default of a site's own geometry, which is rendered once. nnU-Net plans for a T1 phantom's
working grid. All weights are random: masks mean nothing, and times are those of trained weights. Where a segmenter
focuses, what its first fold would find is taken from the phantom's label. The floor is the operations of all networks,
over what a product of matrices reaches on this machine for each second of CPU.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import re
import resource
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import wraps
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import ExperimentPlanner
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
from timing import machine
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from training.arms import ARMS, default_of
from training.config import RunConfig, read_config
from training.nnunet.environment import environment
from training.phantom.config import PhantomConfig
from training.phantom.population import make_population
from training.stages.segmenter import DATASET, PLANS
from vestibule import focus, pipeline, predict
from vestibule.boxes import Box, bounding_box
from vestibule.editions import get_edition
from vestibule.files import read_json, write_json
from vestibule.inputs import Case
from vestibule.networks import build_generator, generator_to_dict
from vestibule.preprocessing import mask_to_working, to_working
from vestibule.segmentation import build_planned
from vestibule.volume import read_labels, read_scan
from vestibule.weights import write_bundle

STATUS = Path("/proc/self/status")


def main() -> None:
    """Make what is missing in a process of its own, whose memory does not count; predict, and print."""
    arguments = parse()
    config = read_config(arguments.config)
    folder = arguments.out / config.name
    process = get_context("spawn").Process(target=make, args=(arguments, config, folder))
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(process.exitcode)

    print(machine())
    clock = Clock()
    model = clock.timed("load", pipeline.load_model)(folder / "bundle", device="cpu")
    image, label = files_of(folder, config)
    expected = box_in_region(image, label, config)
    focus._found = lambda logits: placed(expected, logits.shape[1:], config)
    passes = watch(clock, model)
    edition = get_edition(config.edition)
    case = Case("case", image, folder / "mask.nii.gz")
    run = clock.timed("prediction", predict.predict_case)
    run(model.run, case, edition)
    clock.print()

    # What follows goes through the network once more.
    count = passes[0]
    patch = list(model.segmenter.plan.patch_size)
    operations = count * operations_of(model.segmenter.network, (1, 1, *patch))
    if model.translator is not None:
        slices, *sides = (read_scan(image).voxels.shape[0], *config.prepare.size_yx)
        operations += slices * operations_of(model.translator, (1, 1, *sides))
    sizes = " x ".join(map(str, read_scan(image).voxels.shape))
    print(f"image {sizes}, patch {patch}, {count} passes of the segmenter's network, {operations / 1e12:.1f} TFLOP")
    reached = matrix_pace()
    print(f"floor: {operations / reached:.0f} s of CPU at {reached / 1e9:.0f} GFLOP a second of CPU")


class Clock:
    """Seconds of wall and CPU, and the most memory, of calls by name."""

    def __init__(self) -> None:
        self.rows: dict[str, list[float]] = {}

    def timed(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """`call`, whose seconds and memory are added to the row `name`."""

        @wraps(call)
        def measured(*args: Any, **kwargs: Any) -> Any:
            wall, cpu = time.perf_counter(), cpu_seconds()
            row = self.rows.setdefault(name, [0.0, 0.0, 0.0, 0.0])
            result = call(*args, **kwargs)
            row[0] += 1
            row[1] += time.perf_counter() - wall
            row[2] += cpu_seconds() - cpu
            row[3] = max(row[3], memory_gb())
            return result

        return measured

    def print(self) -> None:
        """All rows as a table; memory is the most that the process had held until the step's end."""
        print("| step | calls | wall (s) | CPU (s) | memory so far (GB) |\n|---|---|---|---|---|")
        for name, (calls, wall, cpu, memory) in self.rows.items():
            print(f"| {name} | {calls:.0f} | {wall:.1f} | {cpu:.1f} | {memory:.2f} |")


def watch(clock: Clock, model: pipeline.Model) -> list[int]:
    """Have the steps of a prediction timed; gives the number of passes of the segmenter's network, which grows."""
    predict._read_image = clock.timed("read", predict._read_image)
    pipeline.to_working = clock.timed("to the working grid", pipeline.to_working)
    pipeline.translate = clock.timed("translate", pipeline.translate)
    predictor = model.segmenter._predictor
    name = "predict_sliding_window_return_logits"
    setattr(predictor, name, clock.timed("nnU-Net's windows", getattr(predictor, name)))
    probabilities = clock.timed("nnU-Net, windows among it", model.segmenter.probabilities)
    model.segmenter.probabilities = probabilities  # type: ignore[method-assign]
    pipeline.labels_to_original = clock.timed("labels on the image's grid", pipeline.labels_to_original)
    pipeline.keep_components = clock.timed("connected parts", pipeline.keep_components)
    predict.write_volume = clock.timed("write", predict.write_volume)
    predict.screen_prediction = clock.timed("screen", predict.screen_prediction)

    passes = [0]

    def count(*_: Any) -> None:
        passes[0] += 1

    predictor.network.register_forward_pre_hook(count)
    return passes


def make(arguments: argparse.Namespace, config: RunConfig, folder: Path) -> None:
    """A phantom, and a bundle of random weights for volumes of its size; a phantom that is there is kept."""
    shape = tuple(arguments.shape) if arguments.shape else None
    spacing = tuple(arguments.spacing) if arguments.spacing else None
    phantoms = PhantomConfig(1, 1, shape_zyx=shape, spacing_zyx=spacing, edition=config.edition, prevalence=1.0)
    make_population(folder / "phantoms", phantoms)
    # Segmenters learn on grids of T1, whichever contrast they see there.
    (source,) = (folder / "phantoms" / get_edition(config.edition).source_folder).glob("*_ceT1.nii.gz")
    working = to_working(read_scan(source), config.prepare)
    plans, dataset = planned(config, working.voxels.shape, working.geometry.spacing_zyx, folder / "nnunet")

    torch.manual_seed(0)
    settings = config.segmenter
    folds = arguments.folds or len(settings.folds) or 1
    names = [f"fold_{number}" for number in range(folds)]
    tensors: dict[str, dict] = {}
    for name in names:
        network = build_planned(plans, dataset, settings.configuration)
        tensors[name] = dict(network.named_parameters())
    segmenter = {
        "plans": "plans",
        "dataset": "dataset",
        "configuration": settings.configuration,
        "tensors": names,
        "mirror_axes": list(settings.mirror_axes(arguments.mirrored)),
        "tile_step": settings.tile_step,
        "focus": not arguments.everywhere,
    }
    arm = ARMS[config.default_arm or default_of(config.arms)]
    translator = None
    if arm.translator:
        generator = getattr(config, arm.translator.section).generator
        tensors["translator"] = build_generator(generator).state_dict()
        translator = {"generator": generator_to_dict(generator), "tensors": "translator"}
    manifest = manifest_of(config, arm.name, {"translator": translator, "segmenter": segmenter})
    write_bundle(folder / "bundle", manifest, tensors, {"plans": plans, "dataset": dataset}, {})


def planned(config: RunConfig, shape: tuple, spacing: tuple, folder: Path) -> tuple[dict, dict]:
    """nnU-Net's plans for volumes of one shape (Z, Y, X) and spacing in mm, and its description of the data set."""
    labels = {"background": 0}
    for value in get_edition(config.edition).labels:
        if value:
            labels[f"label_{value}"] = value
    dataset = {"channel_names": {"0": "T1"}, "labels": labels, "numTraining": 1, "file_ending": ".nii.gz"}
    listed = {"case": {"images": ["imagesTr/case_0000.nii.gz"], "label": "labelsTr/case.nii.gz"}}
    write_json(folder / "raw" / DATASET / "dataset.json", {**dataset, "dataset": listed})
    # In T1's scale of -1 to 1; what the planner asks for and does not use.
    intensities = dict.fromkeys(("mean", "std", "median", "min", "max", "percentile_00_5", "percentile_99_5"), 0.0)
    fingerprint = {
        "spacings": [list(spacing)],
        "shapes_after_crop": [list(shape)],
        "foreground_intensity_properties_per_channel": {"0": intensities},
        "median_relative_size_after_cropping": 1.0,
    }
    preprocessed = folder / "preprocessed" / DATASET
    write_json(preprocessed / "dataset_fingerprint.json", fingerprint)
    folders = {f"nnUNet_{name}": str(folder / name) for name in ("raw", "preprocessed", "results")}
    settings = config.segmenter
    with environment(**folders), contextlib.redirect_stdout(io.StringIO()):
        planner = ExperimentPlanner(1, gpu_memory_target_in_gb=settings.gpu_memory_gb)
        planner.UNet_base_num_features = settings.features_base or planner.UNet_base_num_features
        planner.UNet_max_features_3d = settings.max_features or planner.UNet_max_features_3d
        planner.determine_reader_writer = reader
        planner.plan_experiment()
    return read_json(preprocessed / f"{PLANS}.json") or {}, dataset


def reader() -> type:
    """nnU-Net's reader, which it would choose by trying it on an image."""
    return SimpleITKIO


def manifest_of(config: RunConfig, arm: str, networks: dict) -> dict:
    """A manifest of one arm."""
    return {
        "name": config.name,
        "created": "",
        "code_version": "",
        "command": "benchmarks/predict_full_size.py",
        "seed": 0,
        "edition": config.edition,
        "intended_use": "benchmark",
        "notice": "random weights, to measure time and memory",
        "arms": [arm],
        "default_arm": arm,
        "preprocessing": asdict(config.prepare),
        "networks": {arm: networks},
        "scores": {},
        "provenance": {"external_data": False, "pretrained": False},
    }


def files_of(folder: Path, config: RunConfig) -> tuple[Path, Path]:
    """The phantom's T2 and its label."""
    edition = get_edition(config.edition)
    (image,) = (folder / "phantoms" / edition.target_folder).glob("*.nii.gz")
    (label,) = edition.references_of(folder / "phantoms", edition.target_folder).glob("*.nii.gz")
    return image, label


def box_in_region(image: Path, label: Path, config: RunConfig) -> Box:
    """Where the phantom's structures lie in the region around the ears, in working voxels."""
    working = to_working(read_scan(image), config.prepare)
    box = bounding_box(mask_to_working(read_labels(label), working.geometry))
    if box is None:
        raise SystemExit("the phantom has no structure")
    z, y, x = box
    slices = len(working.voxels)
    # Slices may be others in nnU-Net's grid.
    return slice(z.start / slices, z.stop / slices), y, x


def placed(box: Box, shape: tuple, config: RunConfig) -> Box:
    """The box of the structures in nnU-Net's grid of the region's middle part, which has the shape `shape`."""
    z, *sides = box
    parts = [slice(int(z.start * shape[0]), int(np.ceil(z.stop * shape[0])))]
    for part, whole, size in zip(sides, config.prepare.size_yx, shape[1:], strict=True):
        offset = (whole - size) // 2
        parts.append(slice(part.start - offset, part.stop - offset))
    z, y, x = parts
    return z, y, x


def operations_of(network: nn.Module, shape: tuple) -> int:
    """Floating-point operations of a pass; a multiplication with an addition counts as two."""
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network.to("meta")(torch.empty(shape, device="meta"))
    return counter.get_total_flops()


def matrix_pace() -> float:
    """Operations a second of CPU of a product of two matrices: the best of five."""
    size = 2048
    first, second = torch.randn(size, size), torch.randn(size, size)
    spent = []
    for _ in range(6):
        begin = cpu_seconds()
        first @ second
        spent.append(cpu_seconds() - begin)
    return 2 * size**3 / min(spent[1:])


def cpu_seconds() -> float:
    """Seconds of CPU of this process, those of the system's part too."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def memory_gb() -> float:
    """The most memory that this process has held, GB."""
    found = re.search(r"VmHWM:\s*(\d+) kB", STATUS.read_text(encoding="ascii"))
    return int(found[1]) * 1024 / 1e9 if found else 0.0


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of phantom and bundle, one a configuration")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--shape", type=int, nargs=3, help="voxels of the image, z y x; by default the site's")
    parser.add_argument("--spacing", type=float, nargs=3, help="mm, z y x")
    parser.add_argument("--folds", type=int, help="by default those of the configuration")
    parser.add_argument("--mirrored", action="store_true", help="average over mirrored images")
    parser.add_argument("--everywhere", action="store_true", help="do not focus")
    return parser.parse_args()


if __name__ == "__main__":
    main()
