"""Whether tumours survive the translation that the segmenter's images are made by, by their contrast."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from training.data.intermediates import Translators
from training.data.slices import PreparedCase, read_cases
from training.diagnostics.contrast import contrast
from training.stage_table import PIX2PIX, TRANSFER
from vestibule.editions import TUMOUR, Edition

CASES = 6
"""Cases with a tumour that are looked at."""
LEAST_LEFT = 0.25
"""Of a tumour's contrast on T1, the part that its synthetic T1 should have."""


def vanishing_tumours(run_dir: Path, edition: Edition) -> str | None:
    """What to warn of where synthetic T1 hardly shows the tumours that B' was given; None where it does.

    Args:
        run_dir: A run whose pix2pix has been trained.
        edition: What the labels mean.
    """
    left = contrast_left(run_dir, edition)
    if left is None or left >= LEAST_LEFT:
        return None
    return (
        f"tumours have {left:.0%} of their contrast on T1 left when B' is translated back (median of up to {CASES} "
        f"cases, at least {LEAST_LEFT:.0%} is expected): a segmenter of T1 will not find them. Look at the sheets in "
        "pix2pix/samples; more iterations, or pix2pix.tumour_share and tumour_weight, may help"
    )


def contrast_left(run_dir: Path, edition: Edition) -> float | None:
    """Contrast-to-noise ratio of tumours in synthetic T1, made of B', as a share of that on T1.

    Args:
        run_dir: A run whose pix2pix has been trained.
        edition: What the labels mean.

    Returns:
        The median over the first cases that have a tumour with a contrast on T1; None where there is none.
    """
    translators = Translators(run_dir)
    harmonised = {case.name: case for case in read_cases(run_dir, "source", TRANSFER)}
    shares: list[float] = []
    for case in read_cases(run_dir, "source"):
        if len(shares) == CASES:
            break
        on_t1 = _tumour_contrast(case, np.asarray(case.image, dtype=np.float32), edition)
        # A tumour that T1 itself does not show cannot be lost.
        if on_t1 is None or on_t1 <= 0:
            continue
        b_prime = np.asarray(harmonised[case.name].image, dtype=np.float32)  # (Z, Y, X)
        synthetic = translators(PIX2PIX, "generator", b_prime)
        found = _tumour_contrast(case, synthetic, edition)
        shares.append((found or 0.0) / on_t1)
    return float(np.median(shares)) if shares else None


def _tumour_contrast(case: PreparedCase, image: np.ndarray, edition: Edition) -> float | None:
    labels = np.asarray(case.labels)
    tumour = edition.mask_of(labels, TUMOUR)
    if not tumour.any():
        return None
    measured = contrast(image, tumour, labels > 0)
    return None if measured is None else measured.cnr
