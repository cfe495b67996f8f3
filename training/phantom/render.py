"""Render a patient as a scanner sees it: an image and the label of each voxel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from training.phantom.anatomy import Patient
from training.phantom.ear import Ear, canal_distance, cochlea_distance, labyrinth_distance, nerve_segments
from training.phantom.head import paint_head
from training.phantom.scanner import acquire, lattice_in_head
from training.phantom.shapes import Lattice, Window, capsule, coverage, ellipsoid, mean_of_parts
from training.phantom.signals import Sequence, tissue_signal, tissue_signals
from training.phantom.skull import petrous_distance
from training.phantom.tissues import TISSUES
from training.phantom.tumour import CanalFrame, Tumour
from vestibule.editions import TUMOUR, get_edition
from vestibule.volume import Geometry, Volume

COCHLEA = "cochlea"
PARTS = ("extrameatal", "intrameatal")
"""Parts of the tumour, out of the canal and in it: `vs_extrameatal` and `vs_intrameatal` of an edition with parts."""

SLAB_POINTS = 150_000
"""Points that are evaluated at once: few enough for a processor cache, which also bounds the memory."""
FINE_MM = 0.6
"""Sub-voxels of the inner ear are at most this wide, and at most half a voxel."""
COARSE_MM = 1.6
"""Sub-voxels of the head are at most this wide."""

EAR_REACH_MM = 18.0
"""Radius of a ball that holds an inner ear and its canal, around the middle between porus and vestibule."""
OTIC_CAPSULE_RADII_MM = (10.5, 11.5, 9.5)
OTIC_CAPSULE_OFFSET = np.array([0.5, -1.0, 0.5])
"""Its centre from the middle between fundus and vestibule, mm."""
LABYRINTH_OFFSET, LABYRINTH_REACH_MM = np.array([1.0, 1.5, 1.0]), 8.5
"""Middle of a ball that holds it, from the vestibule's, and that ball's radius."""
COCHLEA_REACH_MM = 6.0
CANAL_WALL_MM = 1.5
"""Thickness of the bone around the canal."""
NERVE_ROOT = np.array([15.5, 5.0, -2.0])
"""Where the facial and vestibulocochlear nerves leave the brainstem, in a side's frame, mm."""
ARTERY_START = np.array([3.0, -7.5, -9.0])
"""Where the anterior inferior cerebellar artery leaves the basilar, in a side's frame, mm."""
ARTERY_LOOP_FROM_PORUS = np.array([-2.5, 0.5, -2.6])
ARTERY_END_FROM_ROOT = np.array([2.5, 6.0, -5.0])

SIGNAL_REACH_MM = 1.0
"""How far beyond a tumour's surface its signal is given: partial volume needs it there."""
LOOSE_GADOLINIUM = 0.55
"""Concentration in loose tissue relative to dense tissue, as `tissues.TISSUES` has them. A choice."""


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
            signal[window] = signal[window] * (1 - covered) + ear_signal

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
        label[fractions[COCHLEA] >= 0.5] = known.values_of(COCHLEA)[0]
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
    points_per_slice = ny * nx * int(np.prod(factors))
    step = max(1, SLAB_POINTS // points_per_slice)

    signal = np.empty(lattice.size_zyx, dtype=np.float32)
    for start in range(0, nz, step):
        stop = min(start + step, nz)
        window = (slice(start, stop), slice(0, ny), slice(0, nx))
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
    points_per_slice = voxels_per_slice * int(np.prod(factors))
    step = max(1, SLAB_POINTS // points_per_slice)
    for start in range(low_z, high_z, step):
        stop = min(start + step, high_z)
        yield slice(start, stop), slice(low_y, high_y), slice(low_x, high_x)


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


class FineCanvas:
    """Sub-voxels around one ear: what covers them, its signal, and what is labelled.

    Args:
        ear: The ear; the canvas lies in its side's frame.
        voxels: The voxels whose sub-voxels are painted, in the head's frame.
        signals: Signal of each tissue by its name.
    """

    def __init__(self, ear: Ear, voxels: Lattice, signals: dict[str, float]) -> None:
        self.ear = ear
        self.signals = signals
        self.factors = voxels.factors(FINE_MM, at_least=2)
        """Sub-voxels along (Z, Y, X) in a voxel."""
        fine = voxels.refined(self.factors)
        self.width = float(np.mean(fine.spacing_zyx))
        first = fine.first * ear.mirror
        steps = fine.steps * ear.mirror
        self.lattice = Lattice(fine.size_zyx, first, steps)
        """The sub-voxels in the side's frame."""
        self.u, self.y, self.z = self.lattice.points()
        self.covered = np.zeros(fine.size_zyx, dtype=np.float32)
        """Share of each sub-voxel (Z f, Y f, X f) that anything has been laid over."""
        self.signal = np.zeros(fine.size_zyx, dtype=np.float32)
        """Signal of what covers it, times that share."""
        self.masks: dict[str, np.ndarray] = {}
        """Share of each sub-voxel that is labelled, by structure."""

    def near(self, centre: np.ndarray, radius_mm: float) -> tuple[Window, np.ndarray, np.ndarray, np.ndarray] | None:
        """Window around a point, with the coordinates u, y, z in it; None where it is off the lattice."""
        window = self.lattice.near(centre, radius_mm)
        if window is None:
            return None
        return window, self.u[window], self.y[window], self.z[window]

    def lay(self, window: Window, distance: np.ndarray, value: float | np.ndarray) -> np.ndarray:
        """Put a tissue's signal inside a surface, over what is there.

        Args:
            window: Where.
            distance: Signed distance in mm to the surface, of the window's shape.
            value: Signal of the tissue, one or of the window's shape.

        Returns:
            Share of each sub-voxel of the window that the tissue has.
        """
        share = coverage(distance, self.width)
        uncovered = 1 - self.covered[window]
        self.covered[window] += share * uncovered

        view = self.signal[window]
        view += share * (np.float32(value) - view)
        return share

    def paint_bone_and_canal(self, tumour: Tumour | None) -> None:
        """Otic capsule and the canal with its fluid."""
        ear = self.ear
        found = self.near(ear.middle, EAR_REACH_MM)
        if found is None:
            return

        window, u, y, z = found
        capsule_centre = 0.5 * (ear.fundus + ear.vestibule) + OTIC_CAPSULE_OFFSET
        otic_capsule = ellipsoid(u, y, z, capsule_centre, OTIC_CAPSULE_RADII_MM)

        # A tumour widens the canal that it grows in.
        widened = tumour.canal_radius if tumour else 0.0
        canal_radius = max(ear.canal_radius, widened)
        canal = canal_distance(ear, u, y, z, canal_radius)
        canal_wall = canal - CANAL_WALL_MM

        # Neither capsule nor wall stand out of the petrous bone.
        inside_petrous = petrous_distance(ear, u, y, z) + 0.5
        bone = np.minimum(otic_capsule, canal_wall)
        self.lay(window, np.maximum(bone, inside_petrous), self.signals["bone"])
        self.lay(window, canal, self.signals["csf"])

    def paint_labyrinth(self) -> None:
        """Fluid of the vestibule and the semicircular canals."""
        middle = self.ear.vestibule + LABYRINTH_OFFSET
        found = self.near(middle, LABYRINTH_REACH_MM)
        if found is None:
            return

        window, u, y, z = found
        distance = labyrinth_distance(self.ear, u, y, z)
        self.lay(window, distance, self.signals["labyrinth"])

    def paint_nerves(self) -> None:
        """Facial, cochlear and vestibular nerves from the brainstem to the fundus."""
        for start, end, radius_mm in nerve_segments(self.ear, NERVE_ROOT):
            self._lay_rod(start, end, radius_mm, "nerve")

    def paint_artery(self) -> None:
        """The anterior inferior cerebellar artery, which loops to the porus and back to the cerebellum."""
        loop = self.ear.porus + ARTERY_LOOP_FROM_PORUS
        end = NERVE_ROOT + ARTERY_END_FROM_ROOT
        self._lay_rod(ARTERY_START, loop, 0.55, "blood")
        self._lay_rod(loop, end, 0.5, "blood")

    def paint_cochlea(self) -> None:
        """The spiral's fluid; its label holds the walls between the turns too."""
        found = self.near(self.ear.cochlea_centre, COCHLEA_REACH_MM)
        if found is None:
            return

        window, u, y, z = found
        lumen, whole = cochlea_distance(self.ear, u, y, z)
        share = self.lay(window, whole, self.signals["bone"])
        self.mark(COCHLEA, window, share)
        self.lay(window, lumen, self.signals["labyrinth"])

    def paint_tumour(self, tumour: Tumour, sequence: Sequence) -> None:
        """The tumour with its texture and cysts, and its masks inside and outside the canal."""
        found = self.near(self.ear.porus, tumour.reach)
        if found is None:
            return

        window, u, y, z = found
        frame = self.ear.frame()
        distance, values, outside_bone = tumour_on(tumour, frame, sequence, u, y, z)
        share = self.lay(window, distance, values)
        self.mark("extrameatal", window, share * outside_bone)
        self.mark("intrameatal", window, share * ~outside_bone)

    def mark(self, structure: str, window: Window, share: np.ndarray) -> None:
        """Note the share of each sub-voxel of a window that is labelled as `structure`."""
        mask = np.zeros(self.covered.shape, dtype=np.float32)
        mask[window] = share
        self.masks[structure] = mask

    def _lay_rod(self, start: np.ndarray, end: np.ndarray, radius_mm: float, tissue: str) -> None:
        """A straight piece of a nerve or a vessel."""
        middle = 0.5 * (start + end)
        half_length_mm = 0.5 * float(np.linalg.norm(end - start))
        found = self.near(middle, half_length_mm + radius_mm)
        if found is None:
            return

        window, u, y, z = found
        distance = capsule(u, y, z, start, end, radius_mm)
        self.lay(window, distance, self.signals[tissue])


def tumour_on(
    tumour: Tumour, frame: CanalFrame, sequence: Sequence, x: np.ndarray, y: np.ndarray, z: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A tumour at points given in its frame's space: signed distance in mm, its signal, and what is out of the bone.

    Works in a synthetic head and in a real one alike.

    Args:
        tumour: The tumour.
        frame: Where its canal lies.
        sequence: Whose signal is wanted.
        x: First coordinates of the points, mm.
        y: Second coordinates, mm.
        z: Third coordinates, mm.

    Returns:
        Distances in mm, signals, and whether a point lies out of the bone (bool), each in the points' shape. Signals
        are given within 1 mm of the tumour and are 0 elsewhere.
    """
    a, b, c = frame.local(x, y, z)
    distance = tumour.distance(a, b, c, frame.face_normal)

    # Texture is costly, so it is evaluated where there is a tumour only.
    inside = distance < SIGNAL_REACH_MM
    at = (a[inside], b[inside], c[inside])

    # Every tumour takes up its own amount of contrast agent.
    dense_mmol_l = tumour.gadolinium_mmol_l
    loose_mmol_l = LOOSE_GADOLINIUM * dense_mmol_l
    dense = replace(TISSUES["schwannoma"], gadolinium_mmol_l=dense_mmol_l)
    loose = replace(TISSUES["schwannoma_loose"], gadolinium_mmol_l=loose_mmol_l)
    dense_signal = tissue_signal(sequence, dense)
    loose_signal = tissue_signal(sequence, loose)

    loose_share = tumour.loose_share(*at)
    value = (1 - loose_share) * dense_signal + loose_share * loose_signal
    if tumour.cysts:
        in_cyst = tumour.cyst_distance(*at) < 0
        cyst_signal = tissue_signal(sequence, TISSUES["cyst"])
        value = np.where(in_cyst, cyst_signal, value)
    values = np.zeros(inside.shape, dtype=np.float32)
    values[inside] = value

    normal_a, normal_b, normal_c = frame.face_normal
    outside_bone = a * normal_a + b * normal_b + c * normal_c > 0
    return distance, values, outside_bone
