"""The stages of the method: the one place that names them. A further stage is a further row of `STAGES`.

Imports neither torch nor any stage: the command line, the runner, export and studies read this table.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Stage:
    """One step of the method."""

    name: str
    """Also the name of its folder in a run and of its command."""
    title: str
    """What it does, in the words of the command line's help."""
    needs: tuple[Stage, ...] | None
    """Stages whose outputs it reads, where the configuration has them; None: every stage before it."""
    sections: tuple[str, ...] | None
    """Parts of the configuration that it is given, besides the seed; None: all of it."""
    entry: str
    """`module:function`, called with (config, run_dir); returns the paths of its outputs.

    A function `check(config, known)` beside it, where there is one, is called before the first stage of a run, with the
    whole configuration and `training.data.raw_cases.KnownCases`: it raises InputError for what the stage would refuse.
    A function `inspect(config, run_dir)` beside it is called once the stage is done, with what `entry` is given: it
    returns what there is to warn of in the result.
    """
    only_with: str | None = None
    """Section of the configuration without which it is left out; None: there is none."""
    shared: bool = False
    """Whether all processes that `torchrun` started train it together; otherwise the first does it alone."""

    def folder(self, run_dir: Path) -> Path:
        """Folder of the stage within a run."""
        return run_dir / self.name


PHANTOM = Stage(
    name="phantom",
    title="Make the run's phantom population.",
    needs=(),
    sections=("phantom", "edition"),
    entry="training.stages.phantom:make",
    only_with="phantom",
)
PREPARE = Stage(
    name="prepare",
    title="Bring all training images to the working grid.",
    needs=(PHANTOM,),
    sections=("prepare", "edition", "phantom"),
    entry="training.stages.prepare:prepare",
)
CYCLEGAN = Stage(
    name="cyclegan",
    title="Learn phi0: unpaired translation between T1 and T2.",
    needs=(PREPARE,),
    sections=("cyclegan", "precision"),
    entry="training.stages.cyclegan:train",
    shared=True,
)
SECOND_CYCLEGAN = Stage(
    name="second_cyclegan",
    title="Learn a second CycleGAN, for more synthetic T2.",
    needs=(PREPARE,),
    sections=("second_cyclegan", "precision"),
    entry="training.stages.second_cyclegan:train",
    only_with="second_cyclegan",
    shared=True,
)
HARMONISER = Stage(
    name="harmoniser",
    title="Learn the one-shot model of a single T2 slice.",
    needs=(PREPARE,),
    sections=("harmoniser", "reference", "edition", "precision"),
    entry="training.stages.harmoniser:train",
)
TRANSFER = Stage(
    name="transfer",
    title="Copy and harmonise tumours: domain B'.",
    needs=(PREPARE, CYCLEGAN, HARMONISER),
    sections=("transfer", "cyclegan", "edition"),
    entry="training.stages.transfer:transfer",
)
PIX2PIX = Stage(
    name="pix2pix",
    title="Learn phi_B'A: T2 with reinforced tumours to T1.",
    needs=(PREPARE, CYCLEGAN, TRANSFER),
    sections=("pix2pix", "edition", "precision"),
    entry="training.stages.pix2pix:train",
    shared=True,
)
SEGMENTER = Stage(
    name="segmenter",
    title="Train nnU-Net on T1.",
    needs=(PREPARE,),
    sections=("segmenter", "local_contrast", "edition"),
    entry="training.stages.segmenter:train",
)
SYNTHESIS = Stage(
    name="synthesis",
    title="Translate labelled T1 to synthetic T2.",
    needs=(PREPARE, CYCLEGAN, SECOND_CYCLEGAN),
    sections=("second_cyclegan",),
    entry="training.stages.synthesis:synthesise",
)
DIRECT_SEGMENTER = Stage(
    name="direct_segmenter",
    title="Train nnU-Net on synthetic T2.",
    # Of the CycleGAN's, `synthesis` holds what counts.
    needs=(PREPARE, SECOND_CYCLEGAN, SYNTHESIS),
    sections=("segmenter", "local_contrast", "self_training", "second_cyclegan", "edition"),
    entry="training.stages.direct_segmenter:train",
)
AUGMENT = Stage(
    name="augment",
    title="Alter tumours in synthetic T2: the successor's augmentation.",
    needs=(PREPARE, CYCLEGAN, SECOND_CYCLEGAN, HARMONISER),
    sections=("augment", "second_cyclegan", "edition"),
    entry="training.stages.augment:augment",
)
SELF_TRAINING = Stage(
    name="self_training",
    title="Train nnU-Net on synthetic T2, then on its own masks of T2.",
    # Of the CycleGAN's, `augment` holds what counts.
    needs=(PREPARE, SECOND_CYCLEGAN, AUGMENT),
    sections=("segmenter", "local_contrast", "augment", "self_training", "second_cyclegan", "edition"),
    entry="training.stages.self_training:train",
)
SUPERVISED = Stage(
    name="supervised",
    title="Train nnU-Net on labelled T2: the upper bound.",
    needs=(PREPARE,),
    sections=("segmenter", "local_contrast", "edition"),
    entry="training.stages.supervised:train",
)
POSTPROCESSING = Stage(
    name="postprocessing",
    title="Choose post-processing on held-back cases.",
    needs=(PREPARE, SEGMENTER, SYNTHESIS, DIRECT_SEGMENTER, AUGMENT, SELF_TRAINING, SUPERVISED),
    sections=("postprocessing", "segmenter", "arms", "edition"),
    entry="training.stages.postprocessing:choose",
    only_with="postprocessing",
)
EXPORT = Stage(
    name="export",
    title="Pack the bundle that predicts.",
    needs=None,
    sections=None,
    entry="training.stages.export:export",
)

STAGES = {
    stage.name: stage
    for stage in (
        PHANTOM,
        PREPARE,
        CYCLEGAN,
        SECOND_CYCLEGAN,
        HARMONISER,
        TRANSFER,
        PIX2PIX,
        SEGMENTER,
        SYNTHESIS,
        DIRECT_SEGMENTER,
        AUGMENT,
        SELF_TRAINING,
        SUPERVISED,
        POSTPROCESSING,
        EXPORT,
    )
}
"""In the order in which they run; `EXPORT` is always the last."""
