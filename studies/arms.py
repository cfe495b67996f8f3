"""Which arm should a team submit? All arms behind the same translations, with and without self-training.

    python studies/arms.py --config configs/phantom.yaml --out runs/arms                    3 seeds
    python studies/arms.py --config configs/phantom.yaml --out runs/arms --workers 4        runs side by side
    python studies/arms.py --config configs/phantom.yaml --out runs/arms --only blending    a line, and what it needs
    python studies/arms.py --config configs/phantom.yaml --out runs/arms --finished         what is there so far
    python studies/arms.py --config configs/phantom.yaml --out runs/heads --heads DATA      real heads
    python studies/arms.py --config configs/phantom.yaml --out runs/tiny --size tiny --seeds 1
    python studies/arms.py --config configs/phantom.yaml --out runs/arms --with rows.csv    beside what others found

A line is a way to train a segmenter: it is an arm, the CycleGAN with or without a segmenter beside (the head), a second
translator or none, tumours altered or not, local contrast or not, masks kept by trust or all of them. Of one training
with rounds, every round is scored: the first has seen no mask of real T2. All lines of a seed share what they can. A
killed run goes on where it stopped. The section with the numbers is printed and written to `results.md` below `--out`;
`--page docs/results.md` puts it there too. `rows.csv` beside it has every score: seeds of several machines can be put
into one section.

With `--heads`, data are what `studies/real_heads.py` makes of a folder: each person with both contrasts is the unseen
one in turn, in a folder of its own. Cochleae have no labels there.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from arms_report import Runs
from arms_rows import write_rows, write_section
from experiment import (
    experiment_parser,
    link,
    make_population,
    remembered,
    score_arm,
    score_model,
    sized,
    train,
)
from real_heads import COPIES, make_data, people_of

from evaluation.scoring.scores import Row
from training.arms import BASELINE, BLENDING, DIRECT, ONESHOT, UPPER_BOUND
from training.config import LocalContrastConfig, RunConfig, SelfTrainingConfig, read_config, stages_of
from training.implant.files import RECORD
from training.nnunet.trained import load_segmenter
from training.parallel import side_by_side
from training.run_folder import FINISHED, read_outputs
from training.stage_table import (
    CYCLEGAN,
    EXPORT,
    HARMONISER,
    PHANTOM,
    PREPARE,
    SECOND_CYCLEGAN,
    SEGMENTER,
    SELF_TRAINING,
    Stage,
)
from vestibule.editions import TUMOUR, get_edition
from vestibule.errors import InputError
from vestibule.files import read_json
from vestibule.networks import GeneratorConfig
from vestibule.pipeline import Model, pick_device

SHARED = (PREPARE, CYCLEGAN, SECOND_CYCLEGAN, HARMONISER, SEGMENTER)
"""What the lines of a seed have in common, as far as they need it."""
LEVEL = 4
"""Of the harmoniser, at which an altered tumour enters: n* of SinGAN for a slice's part of the demo's size."""
SECOND_GENERATOR = GeneratorConfig("resnet", width=16, blocks=4)
"""As the paper's, without skip connections."""
HEAD_WEIGHT = 1.0
"""Of the segmenter beside the CycleGAN, relative to its adversarial term."""


@dataclass(frozen=True)
class Line:
    """One way to train what segments T2."""

    name: str
    """Of the run's folder."""
    arm: str
    """That the run trains."""
    altered: bool = True
    """Whether tumours are altered in synthetic T2."""
    local_contrast: bool = False
    """Whether intensities vary while nnU-Net trains."""
    head: bool = False
    """Whether a segmenter is trained beside the CycleGAN."""
    filtered: bool = False
    """Whether self-training keeps the masks alone that can be trusted."""
    fitted: bool = False
    """Whether cochleae of masks are brought to the volume that they have on T1, whether or not other masks agree."""
    grown: bool = False
    """Whether tumours of masks are fitted, too."""
    anatomy: bool = False
    """Whether masks that no patient could have are left out."""
    rounds: int = 1
    """Rounds on synthetic and real T2 before the last one, on real T2 alone."""
    mixed: bool = False
    """Whether a second CycleGAN, with the paper's generator, makes as much synthetic T2 again."""

    @property
    def titles(self) -> tuple[str, ...]:
        """What is said of the scores of each of its rounds."""
        return FIRST, *(BETWEEN for _ in range(self.rounds)), LAST


GROWN = Line("direct_grown", BLENDING.name, altered=False, local_contrast=True, fitted=True, grown=True)
LINES = (
    Line(BASELINE.name, BASELINE.name),
    Line(ONESHOT.name, ONESHOT.name),
    Line(BLENDING.name, BLENDING.name),
    Line(DIRECT.name, BLENDING.name, altered=False, local_contrast=True),
    Line(UPPER_BOUND.name, UPPER_BOUND.name),
    Line("blending_fitted", BLENDING.name, fitted=True),
    Line("direct_fitted", BLENDING.name, altered=False, local_contrast=True, fitted=True),
    GROWN,
    replace(GROWN, name="direct_trusted", anatomy=True, rounds=0),
    Line("blending_filtered", BLENDING.name, filtered=True),
    Line("blending_mixed", BLENDING.name, mixed=True),
    Line("blending_head", BLENDING.name, head=True),
    Line("direct_plain", BLENDING.name, altered=False),
    Line("direct_head", BLENDING.name, altered=False, local_contrast=True, head=True),
    Line("blending_contrast", BLENDING.name, local_contrast=True),
)
"""Those first that matter most. With no tumour altered, the first round of `blending` is the arm `direct`."""
FIRST, BETWEEN, LAST = "", ", a round more", ", self-training"
"""What is said of the scores of each round: on synthetic T2, on both, on real T2 alone."""


@dataclass(frozen=True)
class Job:
    """One line of one seed."""

    config: RunConfig
    out: Path
    line: Line

    @property
    def run_dir(self) -> Path:
        """Folder of the run."""
        return seed_folder(self.out, self.config) / self.line.name


def main() -> None:
    """Train, score, print and write the section."""
    arguments = parse()
    try:
        config = with_last_round(sized(read_config(arguments.config), arguments.size), arguments.size)
        if arguments.heads:
            config = replace(config, name="heads", phantom=None)
    except InputError as error:
        raise SystemExit(f"arms: error: {error}") from error
    out = arguments.out
    names = arguments.only or [line.name for line in LINES]
    lines = [line for line in LINES if line.name in names]
    last_seed = config.seed + arguments.seeds
    own = [replace(config, seed=seed) for seed in range(config.seed, last_seed)]
    try:
        roots = make_populations(config, out, arguments.heads, arguments.size, arguments.finished)
    except InputError as error:
        raise SystemExit(f"arms: error: {error}") from error

    if not arguments.finished:
        for root in roots:
            run_all(own, root, lines, arguments.workers)
    found: dict[str, Runs] = {}
    jobs = [Job(each, root, line) for root in roots for each in own for line in lines]
    run_dirs = [job.run_dir for job in jobs if collect(job, found)]
    if run_dirs:
        write_rows(found, out / "rows.csv")
    elif not arguments.others:
        raise SystemExit(f"arms: error: {out}: no run is finished; leave out --finished to train them")
    write_section(found, run_dirs, arguments)


def make_populations(config: RunConfig, out: Path, heads: Path | None, size: str, finished: bool) -> list[Path]:
    """Make the data that all runs learn from, once.

    Args:
        config: Of the first seed.
        out: Folder of the study.
        heads: Folder of real heads; None: phantoms.
        size: One of `SIZES`.
        finished: Whether what is there is all that is wanted.

    Returns:
        Folders of runs, each with its own data in `population`: one for phantoms, one a person for heads.

    Raises:
        InputError: Fewer than three people have both T1 and T2.
    """
    if heads is None:
        if not finished:
            make_population(config, out / "population", print)
        return [out]

    roots = []
    for turn, _ in enumerate(people_of(heads)):
        root = out / f"turn_{turn}"
        data = PHANTOM.folder(root / "population") / "data"
        if not finished and not (data / RECORD).is_file():
            rng = np.random.default_rng(config.seed)
            make_data(heads, data, get_edition(config.edition), COPIES[size], rng, turn)
        roots.append(root)
    return roots


def with_last_round(config: RunConfig, size: str) -> RunConfig:
    """`config` with a last round of self-training on real T2 alone; each line says what comes before it."""
    level = LEVEL if size != "tiny" else 1
    augment = replace(config.augment, level=level, last_on_target=True)
    # What a line keeps of its masks is its own.
    return replace(config, augment=augment, self_training=None)


def configured(config: RunConfig, line: Line) -> RunConfig:
    """The configuration of a line: that of its seed, with what the line changes."""
    augment = replace(config.augment, rounds=line.rounds)
    if not line.altered:
        augment = replace(augment, small_factors=(), medium_factors=(), large_factors=(), cochlea_factors=())
    cyclegan = config.cyclegan
    if line.head:
        cyclegan = replace(cyclegan, segmentation_weight=HEAD_WEIGHT)
    # These sections may stand where a line has no stage that they concern only if they are off.
    second = replace(config.cyclegan, generator=SECOND_GENERATOR, identity_weight=0.5) if line.mixed else None
    trust = SelfTrainingConfig(rounds=augment.rounds, fit_cochleae=line.fitted, fit_tumours=line.grown)
    if not line.filtered:
        trust = replace(trust, min_agreement=0.0, mirrored=False, anatomy=line.anatomy)
    return replace(
        config,
        arms=(line.arm,),
        augment=augment,
        cyclegan=cyclegan,
        second_cyclegan=second,
        local_contrast=LocalContrastConfig() if line.local_contrast else None,
        self_training=trust if line.filtered or line.fitted else None,
    )


def run_all(configs: Sequence[RunConfig], out: Path, lines: list[Line], workers: int) -> None:
    """Train and score what is not done yet, side by side: what a seed shares, then the lines.

    Args:
        configs: One a seed.
        out: Folder of all runs.
        lines: What is to be trained.
        workers: Processes.
    """
    shared: dict[tuple, None] = {}
    for config in configs:
        for line in lines:
            own = configured(config, line)
            for stage in SHARED:
                if stage != PREPARE and stage in stages_of(own):
                    shared[config, out, line.head and stage == CYCLEGAN, stage] = None
    # Two processes must not prepare the same images.
    side_by_side(train_shared, [(config, out, False, PREPARE) for config in configs], workers)
    side_by_side(train_shared, list(shared), workers)

    jobs = []
    for config in configs:
        for line in lines:
            jobs.append((Job(config, out, line),))
    side_by_side(run_job, jobs, workers)


def train_shared(config: RunConfig, out: Path, head: bool, stage: Stage) -> None:
    """Train a stage that lines of a seed share.

    Args:
        config: Of the seed.
        out: Folder of all runs.
        head: Whether the CycleGAN has a segmenter beside it.
        stage: One of `SHARED`.
    """
    second = stage == SECOND_CYCLEGAN
    # An arm that has the stage.
    line = Line("shared", BLENDING.name if second else ONESHOT.name, head=head, mixed=second)
    own = configured(config, line)
    folder = shared_folder(out, config, head)
    if head:
        link(shared_folder(out, config, False), folder, (PREPARE,))
    train(own, folder, out / "population", print, (stage,))


def run_job(job: Job) -> None:
    """Train and score one line."""
    line = job.line
    own = configured(job.config, line)
    edition = get_edition(own.edition)
    for stage in SHARED:
        if stage in stages_of(own):
            link(shared_folder(job.out, job.config, line.head and stage == CYCLEGAN), job.run_dir, (stage,))
    train(own, job.run_dir, job.out / "population", print)

    def measure() -> dict:
        if line.arm != BLENDING.name:
            return {"rounds": [known(score_arm(job.run_dir, line.arm, edition), own)]}
        rounds = []
        for number, _ in enumerate(line.titles):
            model = model_of_round(own, job.run_dir, number)
            rows = score_model(model, job.run_dir, f"round_{number}", edition)
            rounds.append(known(rows, own))
        return {"rounds": rounds}

    made_from = {EXPORT.name: read_outputs(job.run_dir, EXPORT)}
    remembered(job.run_dir / "found.json", made_from, measure)


def known(rows: list[Row], config: RunConfig) -> list[Row]:
    """The rows of structures that the references show: on real heads only tumours are simulated."""
    if config.phantom:
        return rows
    return [row for row in rows if row["structure"] == TUMOUR]


def model_of_round(config: RunConfig, run_dir: Path, number: int) -> Model:
    """What a round of self-training has left, as the bundle would have it."""
    segmenter = load_segmenter(config, SELF_TRAINING.folder(run_dir) / f"round_{number}")
    return Model(
        arm=BLENDING.name,
        edition=config.edition,
        notice="",
        preprocessing=config.prepare,
        translator=None,
        segmenter=segmenter,
        device=pick_device(),
    )


def collect(job: Job, found: dict[str, Runs]) -> bool:
    """Add what a finished run has found; whether it is finished.

    Args:
        job: The run.
        found: By line of the table; what is found is added.
    """
    record = read_json(job.run_dir / "found.json")
    if not record:
        return False
    minutes = training_minutes(job)
    for told, rows in zip(job.line.titles, record["found"]["rounds"], strict=False):
        title = f"{job.line.name}{told}"
        # Phantoms are made by their seed alone, wherever they lie.
        data = "" if job.config.phantom else job.out.name
        key = data, job.config.seed
        found.setdefault(title, {})[key] = {"rows": rows, "minutes": minutes}
    return True


def training_minutes(job: Job) -> float:
    """Minutes that the stages of a line took, those that it shares with others included."""
    seconds = 0.0
    for stage in stages_of(configured(job.config, job.line)):
        if stage not in (PHANTOM, PREPARE):
            seconds += read_json(stage.folder(job.run_dir) / FINISHED)["seconds"]
    return seconds / 60


def shared_folder(out: Path, config: RunConfig, head: bool) -> Path:
    """Folder of what the lines of a seed share: the CycleGAN with a head lies apart."""
    return seed_folder(out, config) / ("shared_head" if head else "shared")


def seed_folder(out: Path, config: RunConfig) -> Path:
    """Folder of all runs of the seed of `config`."""
    return out / f"seed_{config.seed}"


def parse() -> argparse.Namespace:
    """The command line."""
    parser = experiment_parser(__doc__)
    names = [line.name for line in LINES]
    parser.add_argument("--only", action="append", choices=names, help="a line; may be given several times")
    parser.add_argument("--heads", type=Path, help="a folder of T1 and T2 of real heads, in place of phantoms")
    parser.add_argument("--workers", type=int, default=1, help="runs side by side")
    parser.add_argument(
        "--with",
        action="append",
        default=[],
        dest="others",
        type=Path,
        metavar="CSV",
        help="rows.csv of another machine or folder; may be given several times",
    )
    parser.add_argument("--finished", action="store_true", help="train nothing: the section of what is finished")
    return parser.parse_args()


if __name__ == "__main__":
    main()
