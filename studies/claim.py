"""The paper's claim in its own setting: what is SinGAN worth where copies come as they are, and what are others worth?

    python studies/claim.py --config configs/phantom.yaml --out runs/claim --trainings 3        3 seeds
    python studies/claim.py --config configs/phantom.yaml --out runs/claim --workers 4          runs side by side
    python studies/claim.py --config configs/phantom.yaml --out runs/claim --finished           what is there so far
    python studies/claim.py --config configs/phantom.yaml --out runs/tiny --size tiny --seeds 1

Generators are the paper's (ResNet, without skip connections), which erase tumours. Copies have the intensities and the
rim of T1, and only `match` uses an outline on T2. Each harmoniser is trained behind the same CycleGAN: SinGAN at every
scale n*, each kind at the level that `vestibule train sweep --ignore-outline` chooses. `none` puts no copy in, `naive`
the copy as it is. A killed run goes on where it stopped. The section with the numbers is printed and written to
`results.md` below `--out`; `--page docs/results.md` puts it there too.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ablation import contrast_in_b_prime
from claim_report import CHOSEN, Runs, report
from experiment import (
    experiment_parser,
    link,
    make_population,
    of_the_paper,
    provenance,
    publish,
    remembered,
    score_arm,
    sized,
    train,
)

from training.arms import BASELINE, ONESHOT
from training.config import HarmoniserSettings, RunConfig, read_config
from training.diagnostics.choose_scale import sweep
from training.harmoniser_table import HARMONISERS, harmoniser_class
from training.parallel import side_by_side
from training.run_folder import read_outputs
from training.stage_table import CYCLEGAN, EXPORT, HARMONISER, PIX2PIX, PREPARE, SEGMENTER, TRANSFER, Stage
from vestibule.editions import get_edition
from vestibule.errors import InputError
from vestibule.files import read_json
from vestibule.networks import GeneratorConfig

SHARED = (PREPARE, CYCLEGAN, SEGMENTER)
OWN = (TRANSFER, PIX2PIX, EXPORT)
SINGAN = "singan"
SINGAN_ITERATIONS = 1200
"""Of each scale: half of the default, after which a slice comes back with an error of 0.007 on [0, 1]."""
KEEPER = "gpnn"
"""Kind that keeps the reference slice for those that harmonise nothing: it trains nothing."""


@dataclass(frozen=True)
class Filling:
    """One way to fill B'."""

    name: str
    """Of the run's folder."""
    kind: str = KEEPER
    level: int | None = None
    intensity: str = "none"
    blending: str = "soft"


NONE = Filling("none", blending="none")
NAIVE = Filling("naive")
MATCH = Filling("match", intensity="reference")
PLAIN = {filling.name: filling for filling in (NONE, NAIVE, MATCH)}
"""Those that no harmoniser works on."""


@dataclass(frozen=True)
class Job:
    """One run: a way to fill B', and a training of pix2pix on it."""

    config: RunConfig
    out: Path
    filling: Filling
    training: int

    @property
    def run_dir(self) -> Path:
        """Folder of the run; the first training has no number."""
        name = self.filling.name
        if self.training:
            name += f"_training_{self.training}"
        return seed_folder(self.out, self.config) / name


def main() -> None:
    """Train, score, print and write the section."""
    arguments = parse()
    try:
        config = published(read_config(arguments.config), arguments.size)
    except InputError as error:
        raise SystemExit(f"claim: error: {error}") from error
    out = arguments.out
    names = arguments.only or [*PLAIN, *HARMONISERS]
    last_seed = config.seed + arguments.seeds
    own = [replace(config, seed=seed) for seed in range(config.seed, last_seed)]
    if not arguments.finished:
        make_population(config, out / "population", print)
        run_all(own, out, names, arguments.trainings, arguments.workers)

    found: dict[str, Runs] = {}
    run_dirs: list[Path] = []
    for each in own:
        run_dirs += collect(each, out, names, arguments.trainings, found)
    if not run_dirs:
        raise SystemExit(f"claim: error: {out}: no run is finished; leave out --finished to train them")
    chosen = {kind: chosen_levels(own, out, kind) for kind in HARMONISERS if kind in names}
    title = f"## The claim in its own setting, {arguments.size} size"
    lines = [title, "", *report(found, chosen), "", *provenance(run_dirs)]
    publish(lines, f"claim {arguments.size}", out, arguments.page)


def published(config: RunConfig, size: str) -> RunConfig:
    """`config` at a size, with the paper's generators, its way to copy, and a whole slice for the one-shot model.

    Raises InputError where it makes no phantoms.
    """
    generator = GeneratorConfig("resnet", width=16, blocks=4)
    paper = replace(
        of_the_paper(config),
        cyclegan=replace(config.cyclegan, generator=generator, identity_weight=0.5),
        pix2pix=replace(config.pix2pix, generator=generator),
        harmoniser=replace(config.harmoniser, iterations=SINGAN_ITERATIONS),
    )
    own = sized(paper, size)
    return replace(
        own,
        # A crop lies around the outlined tumour, and nothing is outlined here.
        reference=replace(own.reference, crop_px=None),
        transfer=replace(own.transfer, intensity="none", rim_px=0.0, level=None),
    )


def run_all(configs: Sequence[RunConfig], out: Path, names: list[str], trainings: int, workers: int) -> None:
    """Train what is not done yet, side by side: what a seed shares, then the harmonisers, then the runs.

    Args:
        configs: One a seed.
        out: Folder of all runs.
        names: What goes into B'.
        trainings: Of each seed.
        workers: Processes.
    """
    side_by_side(train_shared, [(config, out) for config in configs], workers)

    # The keeper is fitted in any case.
    kinds = dict.fromkeys([KEEPER, *(name for name in names if name in HARMONISERS)])
    fits = []
    for config in configs:
        fits += [(config, out, kind, kind in names) for kind in kinds]
    side_by_side(fit, fits, workers)

    # First one training of all seeds, so that the table has all its lines as soon as may be.
    jobs = []
    for training in range(trainings):
        for config in configs:
            for filling in fillings(config, out, names):
                job = Job(config, out, filling, training)
                jobs.append((job,))
    side_by_side(run_job, jobs, workers)


def train_shared(config: RunConfig, out: Path) -> None:
    """Train what all runs of a seed share."""
    shared = seed_folder(out, config) / "shared"
    train(config, shared, out / "population", print, SHARED)


def fit(config: RunConfig, out: Path, kind: str, chooses: bool) -> None:
    """Fit the harmoniser of a kind to the seed's reference slice, and choose its level without the outline.

    Args:
        config: Of the seed.
        out: Folder of all runs.
        kind: Of the harmoniser.
        chooses: Whether a level is needed; the keeper may have none.
    """
    folder = fitted_folder(out, config, kind)
    link(seed_folder(out, config) / "shared", folder, SHARED)
    own = replace(config, harmoniser=settings_of(kind, config))
    train(own, folder, out / "population", print, (HARMONISER,))
    if not chooses:
        return

    def choose() -> dict:
        record, _ = sweep(own, folder, ignore_outline=True)
        return read_json(record) or {}

    made_from = hashes(folder, CYCLEGAN, HARMONISER)
    remembered(folder / "choice.json", made_from, choose)


def run_job(job: Job) -> None:
    """Train and score one run; the first of a seed scores the baseline, too, which is the same in all of them."""
    filling = job.filling
    folder = seed_folder(job.out, job.config)
    link(folder / "shared", job.run_dir, SHARED)
    link(fitted_folder(job.out, job.config, filling.kind), job.run_dir, (HARMONISER,))
    transfer = replace(
        job.config.transfer,
        intensity=filling.intensity,
        blending=filling.blending,
        level=filling.level,
    )
    own = replace(
        job.config,
        transfer=transfer,
        harmoniser=settings_of(filling.kind, job.config),
        # The seed of what is shared is the configuration's; a thousand apart, no two trainings meet.
        seed=job.config.seed + 1000 * job.training,
    )
    train(own, job.run_dir, job.out / "population", print, OWN)

    edition = get_edition(own.edition)

    def measure() -> dict:
        contrast = contrast_in_b_prime(job.run_dir, edition)
        return {"rows": score_arm(job.run_dir, ONESHOT.name, edition), "contrast": contrast}

    def measure_baseline() -> dict:
        return {"rows": score_arm(job.run_dir, BASELINE.name, edition), "contrast": None}

    remembered(job.run_dir / "found.json", hashes(job.run_dir, EXPORT), measure)
    made_from = hashes(job.run_dir, CYCLEGAN, SEGMENTER)
    remembered(folder / "baseline.json", made_from, measure_baseline)


def fillings(config: RunConfig, out: Path, names: list[str]) -> list[Filling]:
    """The ways to fill B' in a seed whose harmonisers are fitted, those first that matter most."""
    found = [PLAIN[name] for name in PLAIN if name in names]
    kinds = [kind for kind in HARMONISERS if kind in names]
    for kind in kinds:
        record = read_json(fitted_folder(out, config, kind) / "choice.json")
        if record:
            found.append(filling_of(kind, record["found"]["chosen"]))
    if SINGAN in kinds:
        found += [filling_of(SINGAN, level) for level in levels_of(SINGAN, config)]
    # The chosen n* is one of all, and no level is the naive copy: neither is trained twice.
    return list(dict.fromkeys(found))


def filling_of(kind: str, level: int | None) -> Filling:
    """The naive copy, harmonised by a kind at a level; where the level is None, as it is."""
    if level is None:
        return NAIVE
    return Filling(f"{kind}_{level}", kind, level)


def collect(config: RunConfig, out: Path, names: list[str], trainings: int, found: dict[str, Runs]) -> list[Path]:
    """Add what the finished runs of a seed have found.

    Args:
        config: Of the seed.
        out: Folder of all runs.
        names: What goes into B'.
        trainings: Of the seed.
        found: By line of the table; what is found is added.

    Returns:
        Folders of the finished runs.
    """
    baseline = read_json(seed_folder(out, config) / "baseline.json")
    if baseline:
        for training in range(trainings):
            found.setdefault(BASELINE.name, {})[config.seed, training] = baseline["found"]

    lines = {name: PLAIN[name] for name in PLAIN if name in names}
    kinds = [kind for kind in HARMONISERS if kind in names]
    for kind in kinds:
        record = read_json(fitted_folder(out, config, kind) / "choice.json")
        if record:
            lines[f"{kind}, {CHOSEN}"] = filling_of(kind, record["found"]["chosen"])
    if SINGAN in kinds:
        for level in levels_of(SINGAN, config):
            lines[f"{SINGAN}, n* = {level}"] = filling_of(SINGAN, level)

    run_dirs = []
    for title, filling in lines.items():
        for training in range(trainings):
            run_dir = Job(config, out, filling, training).run_dir
            record = read_json(run_dir / "found.json")
            if record:
                found.setdefault(title, {})[config.seed, training] = record["found"]
                run_dirs.append(run_dir)
    return list(dict.fromkeys(run_dirs))


def chosen_levels(configs: Sequence[RunConfig], out: Path, kind: str) -> dict[int, int | None]:
    """The level that was chosen for a kind in each seed in which it is fitted."""
    levels = {}
    for config in configs:
        record = read_json(fitted_folder(out, config, kind) / "choice.json")
        if record:
            levels[config.seed] = record["found"]["chosen"]
    return levels


def levels_of(kind: str, config: RunConfig) -> range:
    """The levels that a kind will have for a whole slice of `config`."""
    settings = settings_of(kind, config)
    levels = harmoniser_class(kind).planned_levels(settings, config.prepare.size_yx)
    return levels if levels is not None else range(0)


def settings_of(kind: str, config: RunConfig) -> HarmoniserSettings:
    """Settings of a kind: the configuration's own, or the kind's defaults."""
    if kind == config.harmoniser.kind:
        return config.harmoniser
    return harmoniser_class(kind).Settings(kind)


def hashes(run_dir: Path, *stages: Stage) -> dict[str, dict[str, str]]:
    """What some stages of a run have left, as what is made from it is known by."""
    return {stage.name: read_outputs(run_dir, stage) for stage in stages}


def seed_folder(out: Path, config: RunConfig) -> Path:
    """Folder of all runs of the seed of `config`."""
    return out / f"seed_{config.seed}"


def fitted_folder(out: Path, config: RunConfig, kind: str) -> Path:
    """Folder of the run that has the harmoniser of a kind."""
    return seed_folder(out, config) / f"fitted_{kind}"


def parse() -> argparse.Namespace:
    """The command line."""
    parser = experiment_parser(__doc__)
    parser.add_argument("--trainings", type=int, default=1, help="of transfer and pix2pix, behind what a seed shares")
    parser.add_argument(
        "--only", action="append", choices=[*PLAIN, *HARMONISERS], help="what goes into B'; may be given several times"
    )
    parser.add_argument("--workers", type=int, default=1, help="runs side by side")
    parser.add_argument("--finished", action="store_true", help="train nothing: the section of what is finished")
    return parser.parse_args()


if __name__ == "__main__":
    main()
