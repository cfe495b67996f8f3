"""Render a patient as a scanner sees it: an image and the label of each voxel."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from training.phantom.anatomy import Patient
from training.phantom.ear import Ear
from training.phantom.ear_canvas import EAR_REACH_MM, FINE_MM, FineCanvas
from training.phantom.head import paint_head
from training.phantom.lattice import Lattice, Window, mean_of_parts
from training.phantom.scanner import acquire, lattice_in_head
from training.phantom.signals import Sequence, tissue_signals
from training.phantom.tumour_shape import Tumour
from vestibule.editions import TUMOUR, get_edition
from vestibule.volume import Geometry, Volume

COCHLEA = "cochlea"
PARTS = ("extrameatal", "intrameatal")
"""Parts of the tumour, out of the canal and in it: `vs_extrameatal` and `vs_intrameatal` of an edition with parts."""
SLAB_POINTS = 150_000
"""Points that are evaluated at once: few enough for a processor cache, which also bounds the memory."""
COARSE_MM = 1.6
"""Sub-voxels of the head are at most this wide."""


def render(patient: Patient, sequence: Sequence, geometry: Geometry, rng: np.random.Generator) -> tuple[Volume, Volume]:
    """Image (float32, scanner units) and label (uint8) of `patient` on the grid of `geometry`.

    Args:
        patient: Whom to render; also says of which edition the label values are.
        sequence: What the scanner plays.
        geometry: Where its voxels lie.
        rng: Random numbers for what the scanner adds.

    Returns:
        Image and label. A label holds a voxel where its structure fills at least half of it.
    """
    signal, fractions = render_signal(patient, sequence, geometry)
    label = label_voxels(fractions, patient.edition)
    image = acquire(signal, geometry, sequence, rng)
    return Volume(image, geometry), Volume(label, geometry)


def render_signal(patient: Patient, sequence: Sequence, geometry: Geometry) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """True signal (Z, Y, X), and the share of each voxel that `extrameatal`, `intrameatal` and `cochlea` fill."""
    lattice = lattice_in_head(geometry, patient.turn, patient.shift_mm)
    signal = _render_head(patient, lattice, tissue_signals(sequence))

    fractions = {}
    for structure in (*PARTS, COCHLEA):
        fractions[structure] = np.zeros(geometry.size_zyx, dtype=np.float32)

    for ear in patient.ears:
        tumour = patient.tumour if ear is patient.tumour_ear else None
        for window in _ear_windows(ear, tumour, lattice):
            fine = _render_ear(ear, tumour, sequence, lattice.window(window))

            # What the ear does not cover of a voxel keeps the head's signal.
            covered = mean_of_parts(fine.covered, fine.factors)
            ear_signal = mean_of_parts(fine.signal, fine.factors)
            uncovered = 1 - covered
            signal[window] = signal[window] * uncovered + ear_signal

            for structure, mask in fine.masks.items():
                fractions[structure][window] += mean_of_parts(mask, fine.factors)
    return signal, fractions


def label_voxels(fractions: dict[str, np.ndarray], edition: int) -> np.ndarray:
    """Label values where a structure fills at least half of a voxel.

    Structures and parts that the phantom does not model are absent, and so are those that the edition does not have.

    Args:
        fractions: Share of each voxel (Z, Y, X) that `extrameatal`, `intrameatal` and `cochlea` fill.
        edition: Year whose label values are wanted.

    Returns:
        Labels (Z, Y, X), uint8.
    """
    known = get_edition(edition)
    extrameatal, intrameatal = (fractions[part] for part in PARTS)
    label = np.zeros(extrameatal.shape, dtype=np.uint8)

    if COCHLEA in known.structures:
        cochlea = fractions[COCHLEA] >= 0.5
        label[cochlea] = known.values_of(COCHLEA)[0]
    if TUMOUR not in known.structures:
        return label

    # The whole first: an edition need not tell its parts apart.
    tumour = extrameatal + intrameatal >= 0.5
    label[tumour] = known.values_of(TUMOUR)[0]
    is_intrameatal = intrameatal > extrameatal
    places = {"extrameatal": ~is_intrameatal, "intrameatal": is_intrameatal}
    for part, is_part in places.items():
        name = f"{TUMOUR}_{part}"
        if name in known.parts:
            label[tumour & is_part] = known.values_of(name)[0]
    return label


def _render_head(patient: Patient, lattice: Lattice, signals: dict[str, float]) -> np.ndarray:
    """Signal (Z, Y, X) of the head without ears, slab by slab."""
    factors = lattice.factors(COARSE_MM)
    nz, ny, nx = lattice.size_zyx
    parts = int(np.prod(factors))
    points_per_slice = ny * nx * parts
    step = max(1, SLAB_POINTS // points_per_slice)

    signal = np.empty(lattice.size_zyx, dtype=np.float32)
    for start in range(0, nz, step):
        stop = min(start + step, nz)
        window = (
            slice(start, stop),
            slice(0, ny),
            slice(0, nx),
        )
        fine = lattice.window(window).refined(factors)

        painted = paint_head(fine, patient.head, patient.ears, signals, patient.mass)
        signal[window] = mean_of_parts(painted, factors)
    return signal


def _ear_windows(ear: Ear, tumour: Tumour | None, lattice: Lattice) -> Iterator[Window]:
    """Windows, a few slices each, of what lies within reach of an ear and its tumour."""
    balls = [(ear.middle, EAR_REACH_MM)]
    if tumour is not None:
        balls.append((ear.porus, tumour.reach + 1.0))

    windows = []
    for centre, reach_mm in balls:
        window = lattice.near(centre * ear.mirror, reach_mm)
        if window is not None:
            windows.append(window)
    if not windows:
        return

    # The box around all of them, in slabs.
    starts = [[along.start for along in window] for window in windows]
    stops = [[along.stop for along in window] for window in windows]
    low_z, low_y, low_x = np.min(starts, axis=0).tolist()
    high_z, high_y, high_x = np.max(stops, axis=0).tolist()

    factors = lattice.factors(FINE_MM, at_least=2)
    voxels_per_slice = (high_y - low_y) * (high_x - low_x)
    parts = int(np.prod(factors))
    points_per_slice = voxels_per_slice * parts
    step = max(1, SLAB_POINTS // points_per_slice)
    for start in range(low_z, high_z, step):
        stop = min(start + step, high_z)
        yield (
            slice(start, stop),
            slice(low_y, high_y),
            slice(low_x, high_x),
        )


def _render_ear(ear: Ear, tumour: Tumour | None, sequence: Sequence, lattice: Lattice) -> FineCanvas:
    """One side's ear and tumour on the sub-voxels of `lattice`, later tissues over earlier ones."""
    fine = FineCanvas(ear, lattice, tissue_signals(sequence))
    fine.paint_bone_and_canal(tumour)
    fine.paint_labyrinth()
    fine.paint_nerves()
    fine.paint_artery()
    fine.paint_cochlea()
    if tumour is not None:
        fine.paint_tumour(tumour, sequence)
    return fine
