"""What experiments on phantoms share: one population, runs over seeds, scores on unseen cases, a page of results."""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import torch

from evaluation.metrics.dice import DICE
from evaluation.scoring.folder import score_folder
from evaluation.scoring.scores import Row
from evaluation.statistics import compare
from training.arms import BASELINE, ONESHOT
from training.config import AugmentConfig, RunConfig, SamplingConfig, SegmenterConfig, stages_of
from training.phantom.config import PhantomConfig
from training.run_folder import FINISHED, code_version
from training.runner import run_stage, run_stages
from training.stage_table import EXPORT, PHANTOM, Stage
from vestibule.editions import TUMOUR, Edition
from vestibule.errors import InputError
from vestibule.files import read_json, write_json, write_text
from vestibule.inputs import find_cases
from vestibule.networks import GeneratorConfig
from vestibule.pipeline import Model, load_model
from vestibule.predict import failure_message, predict_cases
from vestibule.preprocessing import PreprocessingConfig

SIZES = ("tiny", "small", "full")
"""`tiny`: goes through in a minute or two and says nothing. `small`: the networks of the configuration, 40 + 40
patients and 20 unseen. `full`: as many patients as the paper, the published networks, for a GPU."""


def experiment_parser(description: str | None) -> argparse.ArgumentParser:
    """The options that every experiment on phantoms has."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True, help="a configuration that makes phantoms")
    parser.add_argument("--out", type=Path, required=True, help="folder of the population, the runs and results.md")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--page", type=Path, help="a page whose section is written as well, such as docs/results.md")
    return parser


def of_the_paper(config: RunConfig) -> RunConfig:
    """`config` with the arms of the paper, without the settings of others."""
    arms = (BASELINE.name, ONESHOT.name)
    return replace(
        config,
        arms=arms,
        default_arm=None,
        augment=AugmentConfig(),
        local_contrast=None,
        self_training=None,
    )


def sized(config: RunConfig, size: str) -> RunConfig:
    """`config` at one of `SIZES`, as `of_the_paper` has it. Raises InputError where it makes no phantoms."""
    if config.phantom is None:
        raise InputError(f"{config.name}: experiments need a configuration that makes phantoms")
    config = of_the_paper(config)
    if size == "tiny":
        return _tiny(config)
    if size == "small":
        phantom = replace(config.phantom, cases=40, validation=20)
        return replace(config, phantom=phantom)
    return _full(config, config.phantom)


def _tiny(config: RunConfig) -> RunConfig:
    """The least that every stage takes; tumours are large, so that a coarse slice shows them."""
    phantom = PhantomConfig(
        cases=4,
        validation=2,
        shape_zyx=(12, 72, 72),
        spacing_zyx=(2.5, 2.0, 2.0),
        volume_mm3=(2000.0, 9800.0),
    )
    generator = GeneratorConfig("resnet", width=4, blocks=1)
    sampling = SamplingConfig(batch_size=1, crop_yx=(32, 32))
    cyclegan = replace(
        config.cyclegan,
        generator=generator,
        discriminator_width=4,
        discriminator_layers=1,
        iterations=4,
        sampling=sampling,
    )
    pix2pix = replace(
        config.pix2pix,
        generator=generator,
        discriminator_width=4,
        discriminator_layers=1,
        iterations=4,
        sampling=sampling,
    )
    segmenter = SegmenterConfig(
        configuration="2d",
        folds=(),
        epochs=1,
        iterations_per_epoch=2,
        features_base=4,
        max_features=16,
        gpu_memory_gb=0.02,
        mirror_at_test=False,
        tile_step=1.0,
    )
    return replace(
        config,
        phantom=phantom,
        prepare=PreprocessingConfig((2.0, 2.0), (64, 64)),
        cyclegan=cyclegan,
        pix2pix=pix2pix,
        reference=replace(config.reference, crop_px=32, min_tumour_px=1),
        harmoniser=replace(config.harmoniser, coarsest_px=16, scale_factor=0.5, width=4, iterations=4),
        transfer=replace(config.transfer, level=1),
        segmenter=segmenter,
    )


def _full(config: RunConfig, phantom: PhantomConfig) -> RunConfig:
    """The paper's number of patients and the published networks."""
    generator = GeneratorConfig("resnet", width=64, blocks=9)
    cyclegan = replace(
        config.cyclegan,
        generator=generator,
        discriminator_width=64,
        discriminator_layers=3,
        learning_rate=2e-4,
        sampling=SamplingConfig(batch_size=4, crop_yx=(176, 176)),
        iterations=20_000,
    )
    pix2pix = replace(
        config.pix2pix,
        generator=generator,
        discriminator_width=64,
        discriminator_layers=3,
        learning_rate=2e-4,
        sampling=SamplingConfig(batch_size=8),
        iterations=10_000,
    )
    segmenter = replace(
        config.segmenter,
        features_base=32,
        max_features=512,
        gpu_memory_gb=8.0,
        epochs=60,
        iterations_per_epoch=250,
        optimiser="sgd",
        learning_rate=0.01,
    )
    large = replace(
        phantom,
        cases=105,
        validation=32,
        shape_zyx=(40, 256, 256),
        spacing_zyx=(1.5, 0.6, 0.6),
        workers=os.cpu_count() or 1,
    )
    return replace(
        config,
        phantom=large,
        prepare=replace(config.prepare, spacing_yx_mm=(0.6, 0.6), size_yx=(192, 192)),
        cyclegan=cyclegan,
        pix2pix=pix2pix,
        reference=replace(config.reference, crop_px=128),
        harmoniser=replace(config.harmoniser, coarsest_px=25, iterations=2000),
        segmenter=segmenter,
    )


def make_population(config: RunConfig, out_dir: Path, report: Callable[[str], None]) -> None:
    """Make the phantoms of `config` once, by its own seed, in `out_dir`, from where the runs of all seeds have them."""
    out_dir.mkdir(parents=True, exist_ok=True)
    run_stage(PHANTOM, config, out_dir, report)


def train(
    config: RunConfig, run_dir: Path, population: Path, report: Callable[[str], None], only: Iterable[Stage] = ()
) -> None:
    """Run stages on the phantoms of another run; what is done is skipped.

    Args:
        config: Its stages, all but the phantoms' own. Without phantoms, what lies in their place is data from outside.
        run_dir: Folder of the run.
        population: Folder of the run that made the phantoms, or has data in their place.
        report: Told what happens, in lines.
        only: The stages to run; by default all.

    Raises:
        InputError: As the stages do.
    """
    link(population, run_dir, (PHANTOM,))
    data = None if config.phantom else PHANTOM.folder(run_dir) / "data"
    wanted = list(only) or stages_of(config)
    for stage in stages_of(config):
        if stage in wanted and stage != PHANTOM:
            run_stages(config, run_dir, data, stage, report)


def link(from_dir: Path, to_dir: Path, stages: tuple[Stage, ...]) -> None:
    """Let the run `to_dir` have the finished `stages` of another run, without a copy."""
    to_dir.mkdir(parents=True, exist_ok=True)
    for stage in stages:
        place = stage.folder(to_dir)
        if place.is_symlink():
            continue
        made = stage.folder(from_dir).resolve()
        place.symlink_to(made, target_is_directory=True)


def score_arm(run_dir: Path, arm: str, edition: Edition) -> list[Row]:
    """Rows of scores of one arm of the run's bundle on the unseen phantoms, masks and scores kept beside the bundle.

    Raises InputError where a case could not be segmented: its Dice of 0 would be taken for the method's.
    """
    model = load_model(EXPORT.folder(run_dir) / "bundle", arm)
    return score_model(model, run_dir, arm, edition)


def score_model(model: Model, run_dir: Path, name: str, edition: Edition) -> list[Row]:
    """Rows of scores of a model on the unseen phantoms of a run.

    Args:
        model: What segments.
        run_dir: Folder of the run; its `predictions` and `scores` keep masks and scores.
        name: Of the folder of these.
        edition: Whose labels the masks carry.

    Returns:
        A row a case and structure.

    Raises:
        InputError: A case could not be segmented: its Dice of 0 would be taken for the method's.
    """
    data = PHANTOM.folder(run_dir) / "data"
    images = data / edition.validation_folder
    references = edition.references_of(data, edition.validation_folder)
    masks = run_dir / "predictions" / name
    return predict_and_score(model, images, references, masks, run_dir / "scores" / name, edition)


def predict_and_score(
    model: Model, images: Path, references: Path, masks: Path, scores: Path, edition: Edition
) -> list[Row]:
    """Rows of scores of a model on a folder of images, one a case and structure.

    Args:
        model: What segments.
        images: T2 images.
        references: Their references.
        masks: Folder that is made for the masks.
        scores: Folder for the scores.
        edition: Whose labels the masks carry.

    Raises:
        InputError: As `score_model`.
    """
    masks.mkdir(parents=True, exist_ok=True)
    cases = find_cases(images, masks, edition).cases
    outcome = predict_cases(model.run, cases, edition)
    if outcome.failures:
        lines = [line for _, line in outcome.failures]
        raise InputError(failure_message(lines, len(cases)))
    return score_folder(masks, references, scores, edition).rows


def averaged(runs: list[list[Row]]) -> list[Row]:
    """One row a case and structure, the mean over runs: the cases are the independent units, not the seeds.

    Raises ValueError where the runs hold other cases or structures.
    """
    keyed = []
    for rows in runs:
        keyed.append({(row["case"], row["structure"]): row for row in rows})
    if any(own.keys() != keyed[0].keys() for own in keyed):
        raise ValueError("all runs must hold the same cases and structures")

    means = []
    for place, row in keyed[0].items():
        mean: Row = {}
        for key, value in row.items():
            # Names and counts stay the first run's.
            if isinstance(value, float):
                values = [float(own[place][key]) for own in keyed]
                mean[key] = sum(values) / len(keyed)
            else:
                mean[key] = value
        means.append(mean)
    return means


def dice_difference(first: list[Row], second: list[Row]) -> str:
    """Mean VS Dice of `second` less that of `first`, with its 95 % interval over cases, in words."""
    for item in compare(first, second):
        if item["structure"] == TUMOUR and item["metric"] == DICE.key:
            low, high = item["interval_95"]
            return f"{item['difference']:+.3f} ({low:+.3f} to {high:+.3f})"
    raise ValueError(f"no Dice of {TUMOUR} to compare")


def remembered(path: Path, made_from: dict, make: Callable[[], dict]) -> dict:
    """What `make` gives, kept at `path`; not made again as long as what it is made from is the same.

    Args:
        path: A JSON file.
        made_from: Hashes of files, by name.
        make: Makes what can be written as JSON.

    Returns:
        What was made, now or before.
    """
    kept = read_json(path)
    if kept and kept["made_from"] == made_from:
        return kept["found"]
    found = make()
    write_json(path, {"made_from": made_from, "found": found})
    return found


def publish(lines: list[str], name: str, out_dir: Path, page: Path | None) -> None:
    """Print a section, write it to `results.md` in `out_dir`, and where there is a `page`, into its section `name`."""
    text = "\n".join(lines)
    print(text)
    write_text(out_dir / "results.md", text + "\n")
    if page is not None:
        write_section(page, name, text)


def provenance(run_dirs: list[Path]) -> list[str]:
    """Lines on command, commit, machine and the seconds of every stage, as the results page wants them."""
    seconds: dict[str, list[float]] = {}
    for run_dir in run_dirs:
        for path in sorted(run_dir.glob(f"*/{FINISHED}")):
            own = seconds.setdefault(path.parent.name, [])
            own.append(read_json(path)["seconds"])
    means = [f"{stage} {sum(own) / len(own):.0f}" for stage, own in seconds.items()]

    script = os.path.relpath(sys.argv[0])
    command = shlex.join([script, *sys.argv[1:]])
    today = datetime.now(UTC).date()
    return [
        f"- Command: `python {command}`",
        f"- Code: `{code_version()}`, {today.isoformat()}",
        f"- Hardware: {hardware()}",
        f"- Seconds a run: {', '.join(means)}",
    ]


def hardware() -> str:
    """Processor, threads and GPU, in words."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if "model name" in line:
                name = line.partition(":")[2].strip()
                break
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    cores = len(os.sched_getaffinity(0))
    return f"{name}, {cores} cores used, {torch.get_num_threads()} threads, {gpu}"


def write_section(page: Path, name: str, text: str) -> None:
    """Put `text` between the markers `<!-- name -->` and `<!-- /name -->` of `page`, which are added where missing."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    section = f"{begin}\n{text.strip()}\n{end}"
    old = page.read_text(encoding="utf-8") if page.is_file() else ""
    if begin in old and end in old:
        before, _, rest = old.partition(begin)
        _, _, after = rest.partition(end)
        new = before + section + after
    else:
        new = f"{old.rstrip()}\n\n{section}\n"
    write_text(page, new.lstrip("\n"))
