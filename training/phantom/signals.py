"""Signal equations of the challenge's sequences, and the sequences with their published times.

Repetition, echo and inversion times are the challenge's own. Flip angles, echo spacings and train lengths were not
published and are typical of clinical protocols: 30 degrees for the spoiled echo, as Schmalbrock et al. (AJNR 1999) used
for these tumours at a TR of 30 ms; 15 and 70 degrees are vendors' usual settings. Signals are relative to fully relaxed
water.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.phantom.tissues import TISSUES, Tissue


@dataclass(frozen=True)
class Mprage:
    """Magnetisation-prepared rapid gradient echo in its steady state (Brant-Zawadzki et al., Radiology 1992)."""

    tr_ms: float
    """From one inversion to the next."""
    te_ms: float
    ti_ms: float
    """From the inversion to the echo at the centre of k-space, half way through the train."""
    flip_deg: float = 15.0
    echo_spacing_ms: float = 7.0
    echoes: int = 128
    contrast: str = "ceT1"
    flow_residue: float = 1.0

    def signal(self, tissue: Tissue) -> float:
        """Signed transverse magnetisation at the central echo. It is negative before the null point.

        The longitudinal magnetisation m just before an inversion repeats with period TR; every step between two
        inversions (relaxation, pulse) is affine in m, which gives the steady state without iterating.
        """
        flip = np.deg2rad(self.flip_deg)
        half = self.echoes // 2
        rest = self.echoes - half
        train_ms = self.echoes * self.echo_spacing_ms
        half_train_ms = half * self.echo_spacing_ms
        before_train_ms = self.ti_ms - half_train_ms
        after_train_ms = self.tr_ms - before_train_ms - train_ms

        # Each step is a matrix (2, 2) that takes (m, 1) to (m', 1).
        invert = np.diag([-1.0, 1.0])
        excite = np.diag([np.cos(flip), 1.0])
        recover_before = _relaxation(before_train_ms, tissue.t1_ms)
        recover_after = _relaxation(after_train_ms, tissue.t1_ms)
        recover_between = _relaxation(self.echo_spacing_ms, tissue.t1_ms)
        echo = recover_between @ excite

        # From just before an inversion to the central echo, and from there to just before the next.
        first_half = np.linalg.matrix_power(echo, half)
        second_half = np.linalg.matrix_power(echo, rest)
        to_centre = first_half @ recover_before @ invert
        to_end = recover_after @ second_half

        # m = slope m + offset over one period, so m = offset / (1 - slope).
        period = to_end @ to_centre
        slope, offset = period[0]
        steady = offset / (1 - slope)
        at_centre = to_centre[0] @ (steady, 1.0)

        # The central pulse tips it into the transverse plane, where it decays until the echo.
        decay = _decay(self.te_ms, tissue.t2_ms)
        sine = np.sin(flip)
        return float(tissue.proton_density * at_centre * sine * decay)


@dataclass(frozen=True)
class SpoiledGradientEcho:
    """Spoiled gradient echo in its steady state (Ernst and Anderson 1966), T2 standing in for T2*."""

    tr_ms: float
    te_ms: float
    flip_deg: float = 30.0
    contrast: str = "ceT1"
    flow_residue: float = 1.0

    def signal(self, tissue: Tissue) -> float:
        """PD sin(a) (1 - E1) / (1 - cos(a) E1) exp(-TE / T2)."""
        flip = np.deg2rad(self.flip_deg)
        e1 = _decay(self.tr_ms, tissue.t1_ms)
        sine = np.sin(flip)
        cosine = np.cos(flip)

        # Recovery between two pulses against what a pulse takes.
        steady = sine * (1 - e1) / (1 - cosine * e1)
        decay = _decay(self.te_ms, tissue.t2_ms)
        return float(tissue.proton_density * steady * decay)


@dataclass(frozen=True)
class BalancedSteadyState:
    """Balanced steady-state free precession on resonance (CISS, FIESTA; Scheffler and Lehnhardt, Eur Radiol 2003).

    CISS combines two acquisitions so that every place is seen near resonance; hence no banding here.
    """

    tr_ms: float
    te_ms: float
    flip_deg: float = 70.0
    contrast: str = "T2"
    flow_residue: float = 0.2
    """Share of its signal that flowing blood keeps. A choice: arteries in a cistern look dark, not black."""

    def signal(self, tissue: Tissue) -> float:
        """PD sin(a) (1 - E1) / (1 - (E1 - E2) cos(a) - E1 E2) exp(-TE / T2)."""
        flip = np.deg2rad(self.flip_deg)
        e1 = _decay(self.tr_ms, tissue.t1_ms)
        e2 = _decay(self.tr_ms, tissue.t2_ms)
        sine = np.sin(flip)
        cosine = np.cos(flip)

        # Both magnetisations are in balance: nothing is spoiled from one pulse to the next.
        balance = 1 - (e1 - e2) * cosine - e1 * e2
        steady = sine * (1 - e1) / balance
        decay = _decay(self.te_ms, tissue.t2_ms)
        return float(tissue.proton_density * steady * decay)


@dataclass(frozen=True)
class TurboSpinEcho:
    """Turbo spin echo with full refocusing: the train eats into the recovery time."""

    tr_ms: float
    te_ms: float
    """Echo time at the centre of k-space."""
    echo_train: int = 50
    echo_spacing_ms: float = 6.4
    """With linear ordering the centre is reached at TE: 160 ms / 25 echoes."""
    contrast: str = "T2"
    flow_residue: float = 0.05
    """Share of its signal that flowing blood keeps. A choice: a flow void."""

    def signal(self, tissue: Tissue) -> float:
        """PD (1 - exp(-(TR - train) / T1)) exp(-TE / T2), where T2 has two components their sum."""
        # Recovery begins when the last refocusing pulse of the train is over.
        train_ms = self.echo_train * self.echo_spacing_ms
        recovery_ms = self.tr_ms - train_ms
        steady = 1 - _decay(recovery_ms, tissue.t1_ms)
        decay = _decay(self.te_ms, tissue.t2_ms)

        # The refocusing train keeps part of fat's signal that a single echo would lose.
        if tissue.slow_t2 is not None and tissue.t2_fast_ms is not None:
            slow_share, slow_ms = tissue.slow_t2
            slow = _decay(self.te_ms, slow_ms)
            fast = _decay(self.te_ms, tissue.t2_fast_ms)
            decay = slow_share * slow + (1 - slow_share) * fast
        return float(tissue.proton_density * steady * decay)


Sequence = Mprage | SpoiledGradientEcho | BalancedSteadyState | TurboSpinEcho

SEQUENCES: dict[str, Sequence] = {
    "mprage": Mprage(tr_ms=1900, te_ms=2.97, ti_ms=1100),
    "spgr": SpoiledGradientEcho(tr_ms=25, te_ms=1.82),
    "ciss": BalancedSteadyState(tr_ms=9.4, te_ms=4.23),
    "tse": TurboSpinEcho(tr_ms=2700, te_ms=160),
}
"""London ceT1 and T2 are `mprage` and `ciss`, Tilburg's `spgr` and `tse`."""


def tissue_signal(sequence: Sequence, tissue: Tissue) -> float:
    """Signal of `tissue` in `sequence`: with its gadolinium on ceT1, without on T2 (acquired before)."""
    if sequence.contrast == "ceT1":
        return sequence.signal(tissue.enhanced())
    flow = sequence.flow_residue if tissue.flowing else 1.0
    return sequence.signal(tissue) * flow


def tissue_signals(sequence: Sequence, tissues: dict[str, Tissue] | None = None) -> dict[str, float]:
    """Signal of every tissue by name, `TISSUES` unless others are given."""
    signals = {}
    for name, tissue in (tissues or TISSUES).items():
        signals[name] = tissue_signal(sequence, tissue)
    return signals


def brain_signal(sequence: Sequence) -> float:
    """Mean signal of white and grey matter, without contrast agent."""
    white = sequence.signal(TISSUES["white"])
    grey = sequence.signal(TISSUES["grey"])
    return 0.5 * (white + grey)


def _decay(time_ms: float, constant_ms: float) -> float:
    """What is left after a time of a magnetisation that decays: exp(-t / T)."""
    return np.exp(-time_ms / constant_ms)


def _relaxation(time_ms: float, t1_ms: float) -> np.ndarray:
    """Matrix (2, 2) of longitudinal relaxation towards 1: m' = E1 m + (1 - E1)."""
    e1 = _decay(time_ms, t1_ms)
    return np.array(
        [
            [e1, 1 - e1],
            [0.0, 1.0],
        ]
    )
