"""The steps of a transfer by what they are: what figures show, and what the contrast report measures."""

from __future__ import annotations

import numpy as np

from training.config import TransferConfig
from training.harmonisers.compositing import Composite

SYNTHETIC_T2 = "T2, CycleGAN"
COPY_OF_T1 = "T2, copy as on T1"
COPY_MATCHED = "T2, copy matched"
HARMONISED = "T2, harmonised"
NOT_HARMONISED = "T2, not harmonised"
WITHOUT_COPY = "T2, without a copy"


def steps_of(result: Composite, settings: TransferConfig) -> dict[str, np.ndarray]:
    """The images of a transfer, in their order.

    Args:
        result: What was made of a case.
        settings: By which it was made: they tell which steps there are.

    Returns:
        Name -> (Z, Y, X): the synthetic T2; with the structure as it is on T1; with the copy as it enters the
        harmoniser, where its intensities or its rim are other than on T1; and B', named by how it was made.
    """
    steps = {SYNTHETIC_T2: result.background}
    if settings.blending != "none":
        steps[COPY_OF_T1] = result.naive
        if settings.level is not None and is_matched(settings):
            steps[COPY_MATCHED] = result.entered
    steps[name_of_result(settings)] = result.harmonised
    return steps


def is_matched(settings: TransferConfig) -> bool:
    """Whether the copy is altered before it enters the harmoniser."""
    return settings.intensity != "none" or settings.rim_px > 0


def name_of_result(settings: TransferConfig) -> str:
    """What B' of such a transfer is."""
    if settings.blending == "none":
        return WITHOUT_COPY
    if settings.level is None:
        return NOT_HARMONISED
    return HARMONISED


def titles_of(settings: TransferConfig) -> dict[str, str]:
    """Headings for figures: name of a step -> the same with what was done in it on a second line."""
    done = []
    if settings.intensity != "none":
        done.append("intensity")
    if settings.rim_px > 0:
        done.append("rim")
    listed = " and ".join(done)

    entering = COPY_MATCHED if done else COPY_OF_T1
    titles = {
        SYNTHETIC_T2: f"{SYNTHETIC_T2}\nbefore the copy",
        COPY_OF_T1: COPY_OF_T1,
        COPY_MATCHED: f"{COPY_MATCHED}: {listed}",
        HARMONISED: f"{HARMONISED}\nlevel {settings.level}, {settings.blending} edge",
        NOT_HARMONISED: f"{NOT_HARMONISED}\n{settings.blending} edge",
        WITHOUT_COPY: WITHOUT_COPY,
    }
    if settings.level is not None:
        titles[entering] += "\nenters the harmoniser"
    return titles
