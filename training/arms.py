"""The arms: ways to segment T2 that a bundle can hold. The one place that names them.

A further arm is a further row of `ARMS`. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from training.stage_table import (
    AUGMENT,
    CYCLEGAN,
    DIRECT_SEGMENTER,
    HARMONISER,
    PIX2PIX,
    PREPARE,
    SECOND_CYCLEGAN,
    SEGMENTER,
    SELF_TRAINING,
    SUPERVISED,
    SYNTHESIS,
    TRANSFER,
    Stage,
)


@dataclass(frozen=True)
class Translator:
    """Where an arm's T2 -> T1 generator lies in a finished run."""

    stage: Stage
    """The stage that trains it."""
    file: str
    """Name of its weights in the stage's folder, without `.safetensors`."""
    section: str
    """Section of the configuration whose `generator` tells its architecture."""


@dataclass(frozen=True)
class Arm:
    """One way to segment T2."""

    name: str
    title: str
    """What it does, in a few words."""
    stages: tuple[Stage, ...]
    """Stages that it needs, besides the making of data, `prepare` and `export`; some are left out where a configuration
    lacks their section."""
    translator: Translator | None
    """What turns T2 to T1 before the segmenter; None where the segmenter works on T2."""
    segmenter: Stage
    """The stage that trains its segmenter."""
    card: str
    """What the model card says of it, with its source."""
    learns_from: tuple[Stage, str] | None = None
    """Stage and domain of the labelled images that its segmenter is trained on; on those of them that are held back its
    post-processing is chosen. None: nothing is chosen."""


BASELINE = Arm(
    name="baseline",
    title="the CycleGAN's T2 -> T1, then the segmenter of T1",
    stages=(CYCLEGAN, SEGMENTER),
    translator=Translator(CYCLEGAN, "target_to_source", "cyclegan"),
    segmenter=SEGMENTER,
    card=(
        "a CycleGAN (Zhu et al., ICCV 2017) translates T2 to T1, and nnU-Net (Isensee et al., Nature Methods 2021), "
        "trained on T1, segments the result. It is what Sallé et al. (ORASIS 2021) compare their method with."
    ),
    learns_from=(PREPARE, "source"),
)
ONESHOT = Arm(
    name="oneshot",
    title="the method of Sallé et al. 2021",
    stages=(CYCLEGAN, HARMONISER, TRANSFER, PIX2PIX, SEGMENTER),
    translator=Translator(PIX2PIX, "generator", "pix2pix"),
    segmenter=SEGMENTER,
    card=(
        "one-shot tumour synthesis for cross-modal segmentation (Sallé et al., ORASIS 2021). Tumours of T1 are copied "
        "into synthetic T2 and harmonised by a model of a single T2 slice; pix2pix, trained on these pairs, translates "
        "T2 to T1, and nnU-Net, trained on T1, segments the result."
    ),
    learns_from=(PREPARE, "source"),
)
DIRECT = Arm(
    name="direct",
    title="nnU-Net on synthetic T2, without a way back",
    stages=(CYCLEGAN, SECOND_CYCLEGAN, SYNTHESIS, DIRECT_SEGMENTER),
    translator=None,
    segmenter=DIRECT_SEGMENTER,
    card=(
        "a CycleGAN (Zhu et al., ICCV 2017) translates labelled T1 to synthetic T2, and nnU-Net (Isensee et al., "
        "Nature Methods 2021) is trained on it, as in most entries to the challenge. It segments T2 itself, without "
        "translation."
    ),
    learns_from=(SYNTHESIS, "source"),
)
BLENDING = Arm(
    name="blending",
    title="its successor, Sallé et al. 2023: altered tumours in synthetic T2, then self-training",
    stages=(CYCLEGAN, SECOND_CYCLEGAN, HARMONISER, AUGMENT, SELF_TRAINING),
    translator=None,
    segmenter=SELF_TRAINING,
    card=(
        "tumour blending augmentation with self-training (Sallé et al., crossMoDA 2022, published in 2023). nnU-Net is "
        "trained on synthetic T2 whose tumours are altered and harmonised, then on its own masks of real T2; it "
        "segments T2 itself, without translation."
    ),
    learns_from=(AUGMENT, "source"),
)
UPPER_BOUND = Arm(
    name="supervised",
    title="nnU-Net trained on labelled T2, the upper bound where such labels exist",
    stages=(SUPERVISED,),
    translator=None,
    segmenter=SUPERVISED,
    card=(
        "nnU-Net (Isensee et al., Nature Methods 2021), trained on labelled T2: the upper bound that the other arms "
        "are measured against. It segments T2 itself, without translation, and needs labels that the challenge does "
        "not give."
    ),
    learns_from=(PREPARE, "target"),
)

ARMS = {arm.name: arm for arm in (BASELINE, ONESHOT, DIRECT, BLENDING, UPPER_BOUND)}


def arms_of(names: Sequence[str]) -> list[Arm]:
    """The rows of `names`. Raises ValueError for an arm that the table does not have."""
    unknown = set(names) - set(ARMS)
    if unknown:
        raise ValueError(f"arms must be among {tuple(ARMS)}, got {sorted(unknown)}")
    return [ARMS[name] for name in names]


def default_of(names: Sequence[str]) -> str:
    """The arm that predicts where nobody names one: the last of `names` that is not the upper bound."""
    methods = [name for name in names if name != UPPER_BOUND.name]
    # The upper bound alone predicts too.
    return methods[-1] if methods else names[-1]
