"""Signal equations against numbers worked out by hand, and the contrasts that follow from the tissue table."""

import numpy as np
import pytest

from training.phantom.signals import (
    SEQUENCES,
    BalancedSteadyState,
    Mprage,
    SpoiledGradientEcho,
    TurboSpinEcho,
    tissue_signal,
    tissue_signals,
)
from training.phantom.tissues import TISSUES, Tissue

NEVER = 1e12
"""A T2 that takes no part, ms."""


def test_spoiled_echo_of_500_ms_tissue():
    # E1 = exp(-25/500) = 0.951229; 0.5 * 0.048771 / (1 - 0.866025 * 0.951229) = 0.138388
    signal = SpoiledGradientEcho(tr_ms=25, te_ms=0, flip_deg=30).signal(Tissue(500, NEVER, 1.0))
    assert signal == pytest.approx(0.138388, abs=2e-6)


def test_balanced_echo_at_90_degrees():
    # E1 = E2 = exp(-1) = 0.367879: (1 - E1) / (1 - E1 E2) = 1 / (1 + E1) = 0.731059
    signal = BalancedSteadyState(tr_ms=100, te_ms=0, flip_deg=90).signal(Tissue(100, 100, 1.0))
    assert signal == pytest.approx(0.731059, abs=1e-6)


def test_balanced_echo_follows_t2_over_t1_where_tr_is_short():
    # TR << T2: sin(a) / (1 + cos(a) + (1 - cos(a)) T1/T2) = 1 / 11 at 90 degrees and T1/T2 = 10
    signal = BalancedSteadyState(tr_ms=0.01, te_ms=0, flip_deg=90).signal(Tissue(1000, 100, 1.0))
    assert signal == pytest.approx(1 / 11, rel=1e-3)


def test_turbo_spin_echo_of_cerebrospinal_fluid():
    # Recovery 2700 - 50 * 6.4 = 2380 ms: (1 - exp(-2380/4300)) exp(-160/2000) = 0.425060 * 0.923116 = 0.392380
    assert SEQUENCES["tse"].signal(Tissue(4300, 2000, 1.0)) == pytest.approx(0.39238, abs=1e-5)


def test_fat_stays_bright_through_a_refocusing_train():
    # 0.90 (1 - exp(-2380/343)) (0.5 exp(-160/164) + 0.5 exp(-160/35)) = 0.90 * 0.99903 * 0.193641 = 0.17411
    signals = tissue_signals(SEQUENCES["tse"])
    assert signals["fat"] == pytest.approx(0.17411, abs=2e-4)
    assert signals["fat"] > signals["grey"] > signals["muscle"]


def test_mprage_without_pulses_is_inversion_recovery():
    # Steady state: 1 - 2 exp(-TI/T1) / (1 + exp(-TR/T1)) = 1 - 2 * 0.332871 / 1.149569 = 0.420877
    sequence = Mprage(tr_ms=1900, te_ms=0, ti_ms=1100, flip_deg=1e-4)
    signal = sequence.signal(Tissue(1000, NEVER, 1.0)) / np.sin(np.deg2rad(1e-4))
    assert signal == pytest.approx(0.420877, abs=1e-5)


def test_mprage_steady_state_is_where_simulated_pulses_end():
    sequence, t1 = SEQUENCES["mprage"], 900.0
    flip, magnetisation, centre = np.deg2rad(sequence.flip_deg), 1.0, 0.0

    def relax(value, time_ms):
        return 1 + (value - 1) * np.exp(-time_ms / t1)

    half = sequence.echoes // 2
    for _ in range(30):
        magnetisation = relax(-magnetisation, sequence.ti_ms - half * sequence.echo_spacing_ms)
        for echo in range(sequence.echoes):
            if echo == half:
                centre = magnetisation * np.sin(flip)
            magnetisation = relax(magnetisation * np.cos(flip), sequence.echo_spacing_ms)
        rest = sequence.tr_ms - sequence.ti_ms - (sequence.echoes - half) * sequence.echo_spacing_ms
        magnetisation = relax(magnetisation, rest)
    assert sequence.signal(Tissue(t1, NEVER, 1.0)) == pytest.approx(centre, rel=1e-6)


def test_gadolinium_adds_rates():
    # 1000/1250 + 4.8 * 0.5 = 3.2 per second; 1000/100 + 6.1 * 0.5 = 13.05 per second
    tissue = Tissue(1250, 100, 1.0, gadolinium_mmol_l=0.5).enhanced()
    assert tissue.t1_ms == pytest.approx(312.5)
    assert tissue.t2_ms == pytest.approx(76.628, abs=1e-3)


def test_flowing_blood_is_dark_on_t2_and_bright_on_enhanced_t1():
    for name, sequence in SEQUENCES.items():
        signals = tissue_signals(sequence)
        if sequence.contrast == "T2":
            assert signals["blood"] < 0.6 * signals["white"], name
        else:
            assert signals["blood"] > 1.5 * signals["grey"], name


@pytest.mark.parametrize("name", ["mprage", "spgr"])
def test_enhanced_tumour_is_bright_and_fluid_dark_on_t1(name):
    signals = tissue_signals(SEQUENCES[name])
    assert signals["schwannoma"] > 1.5 * max(signals["white"], signals["grey"])
    assert abs(signals["csf"]) < 0.5 * signals["grey"]


def test_tumour_is_about_as_bright_as_brain_in_bright_fluid_on_balanced_t2():
    signals = tissue_signals(SEQUENCES["ciss"])
    assert signals["grey"] * 0.7 < signals["schwannoma"] < signals["grey"] * 1.3
    assert signals["csf"] > 3 * signals["schwannoma"]


def test_t2_images_are_taken_before_the_contrast_agent():
    tissue = TISSUES["schwannoma"]
    assert tissue_signal(SEQUENCES["tse"], tissue) == SEQUENCES["tse"].signal(tissue)
    assert isinstance(SEQUENCES["tse"], TurboSpinEcho)
