"""Draw a patient as a scanner sees it: an image and the label of each voxel."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from training.phantom.anatomy import Patient
from training.phantom.ear import Ear, canal_distance, cochlea_distance, labyrinth_distance, nerve_segments
from training.phantom.head import paint_head
from training.phantom.scanner import acquire, lattice_in_head
from training.phantom.shapes import Lattice, Window, capsule, coverage, ellipsoid
from training.phantom.signals import Sequence, tissue_signal, tissue_signals
from training.phantom.skull import petrous_distance
from training.phantom.tissues import TISSUES
from training.phantom.tumour import CanalFrame, Tumour
from vestibule.editions import get_edition
from vestibule.volume import Geometry, Volume

SLAB_POINTS = 150_000
"""Points that are evaluated at once: few enough for a processor cache, which also bounds the memory."""
FINE_MM = 0.6
"""Sub-voxels of the inner ear are at most this wide, and at most half a voxel."""
COARSE_MM = 1.6
"""Sub-voxels of the head are at most this wide."""
NERVE_ROOT = np.array([15.5, 5.0, -2.0])
"""Where the facial and vestibulocochlear nerves leave the brainstem, in a side's frame, mm."""


def render(patient: Patient, sequence: Sequence, geometry: Geometry, rng: np.random.Generator) -> tuple[Volume, Volume]:
    """Image (float32, scanner units) and label (uint8) of `patient` on the grid of `geometry`.

    A label holds a voxel where its structure fills at least half of it. `rng` draws what the scanner adds.
    """
    signal, fractions = draw(patient, sequence, geometry)
    label = label_voxels(fractions, patient.edition)
    image = acquire(signal, geometry, sequence, rng)
    return Volume(image, geometry), Volume(label, geometry)


def draw(patient: Patient, sequence: Sequence, geometry: Geometry) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """True signal (Z, Y, X), and the share of each voxel that `extrameatal`, `intrameatal` and `cochlea` fill."""
    lattice = lattice_in_head(geometry, patient.turn, patient.shift_mm)
    signals = tissue_signals(sequence)
    signal = _draw_head(patient, lattice, signals)
    fractions = {
        name: np.zeros(geometry.size_zyx, dtype=np.float32) for name in ("extrameatal", "intrameatal", "cochlea")
    }
    for ear in patient.ears:
        tumour = patient.tumour if ear is patient.tumour_ear else None
        for window in _ear_windows(ear, tumour, lattice):
            _draw_ear(ear, tumour, sequence, lattice, window, signal, fractions)
    return signal, fractions


def label_voxels(fractions: dict[str, np.ndarray], edition: int) -> np.ndarray:
    """Label values (Z, Y, X) uint8 of `edition` where a structure fills at least half of a voxel."""
    structures = get_edition(edition).structures
    label = np.zeros(fractions["cochlea"].shape, dtype=np.uint8)
    label[fractions["cochlea"] >= 0.5] = structures["cochlea"][0]
    tumour = fractions["extrameatal"] + fractions["intrameatal"] >= 0.5
    label[tumour] = structures["vs"][0]
    if len(structures["vs"]) > 1:
        label[tumour & (fractions["intrameatal"] > fractions["extrameatal"])] = structures["vs"][1]
    return label


def _draw_head(patient: Patient, lattice: Lattice, signals: dict[str, float]) -> np.ndarray:
    mass = (patient.tumour_ear, patient.tumour) if patient.tumour else None
    factors = tuple(int(n) for n in np.ceil(lattice.spacing_zyx / COARSE_MM - 1e-6))
    nz, ny, nx = lattice.size_zyx
    step = max(1, SLAB_POINTS // (ny * nx * int(np.prod(factors))))
    signal = np.empty(lattice.size_zyx, dtype=np.float32)
    for start in range(0, nz, step):
        window = (slice(start, min(start + step, nz)), slice(0, ny), slice(0, nx))
        fine = lattice.window(window).refined(factors)
        signal[window] = _mean_of_parts(paint_head(fine, patient.head, patient.ears, signals, mass), factors)
    return signal


def _ear_windows(ear: Ear, tumour: Tumour | None, lattice: Lattice):
    """Windows, a few slices each, of what lies within reach of an ear and its tumour."""
    mirror = np.array([ear.sign, 1, 1])
    balls = [(0.5 * (ear.porus + ear.vestibule), 18.0)]
    if tumour is not None:
        balls.append((ear.porus, tumour.reach + 1.0))
    windows = [w for w in (lattice.near(centre * mirror, radius) for centre, radius in balls) if w is not None]
    if not windows:
        return
    low = [min(w[axis].start for w in windows) for axis in range(3)]
    high = [max(w[axis].stop for w in windows) for axis in range(3)]
    plane = np.prod([(high[a] - low[a]) * f for a, f in zip((1, 2), _fine_factors(lattice)[1:], strict=True)])
    step = max(1, int(SLAB_POINTS // (plane * _fine_factors(lattice)[0])))
    for start in range(low[0], high[0], step):
        yield (slice(start, min(start + step, high[0])), slice(low[1], high[1]), slice(low[2], high[2]))


def _fine_factors(lattice: Lattice) -> tuple[int, int, int]:
    return tuple(max(2, int(n)) for n in np.ceil(lattice.spacing_zyx / FINE_MM - 1e-6))


def _draw_ear(
    ear: Ear,
    tumour: Tumour | None,
    sequence: Sequence,
    lattice: Lattice,
    window: Window,
    signal: np.ndarray,
    fractions: dict[str, np.ndarray],
) -> None:
    factors = _fine_factors(lattice)
    fine = FineCanvas(ear, lattice.window(window).refined(factors), tissue_signals(sequence))
    fine.paint_bone_and_fluid(tumour)
    fine.paint_cochlea()
    if tumour is not None:
        fine.paint_tumour(tumour, sequence)
    covered = _mean_of_parts(fine.covered, factors)
    signal[window] = signal[window] * (1 - covered) + _mean_of_parts(fine.signal, factors)
    for name, mask in fine.masks.items():
        fractions[name][window] += _mean_of_parts(mask, factors)


class FineCanvas:
    """Sub-voxels around one ear: what covers them, its signal, and what is labelled."""

    def __init__(self, ear: Ear, lattice: Lattice, signals: dict[str, float]) -> None:
        mirror = np.array([ear.sign, 1, 1])
        self.ear, self.signals = ear, signals
        self.lattice = Lattice(lattice.size_zyx, lattice.first * mirror, lattice.steps * mirror)
        self.u, self.y, self.z = self.lattice.points()
        self.width = float(np.mean(lattice.spacing_zyx))
        self.covered = np.zeros(lattice.size_zyx, dtype=np.float32)
        self.signal = np.zeros(lattice.size_zyx, dtype=np.float32)
        self.masks: dict[str, np.ndarray] = {}

    def near(self, centre: np.ndarray, radius_mm: float):
        """Window around a point, with the coordinates in it; None where it is off the lattice."""
        window = self.lattice.near(centre, radius_mm)
        return None if window is None else (window, self.u[window], self.y[window], self.z[window])

    def lay(self, window: Window, distance: np.ndarray, value: float | np.ndarray) -> np.ndarray:
        """Put a tissue's signal inside a surface, over what is there, and return its share of each sub-voxel."""
        share = coverage(distance, self.width)
        self.covered[window] += share * (1 - self.covered[window])
        view = self.signal[window]
        view += share * (np.float32(value) - view)
        return share

    def paint_bone_and_fluid(self, tumour: Tumour | None) -> None:
        """Otic capsule, canal with its fluid and nerves, vestibule and semicircular canals."""
        ear = self.ear
        middle = 0.5 * (ear.porus + ear.vestibule)
        found = self.near(middle, 18.0)
        if found is None:
            return
        window, u, y, z = found
        shell = ellipsoid(u, y, z, 0.5 * (ear.fundus + ear.vestibule) + np.array([0.5, -1.0, 0.5]), (10.5, 11.5, 9.5))
        canal_radius = max(ear.canal_radius, tumour.canal_radius if tumour else 0.0)
        canal = canal_distance(ear, u, y, z, canal_radius)
        bone = np.minimum(shell, canal - 1.5)
        self.lay(window, np.maximum(bone, petrous_distance(ear, u, y, z) + 0.5), self.signals["bone"])
        self.lay(window, canal, self.signals["csf"])
        close = self.near(ear.vestibule + np.array([1.0, 1.5, 1.0]), 8.5)
        if close is not None:
            window, u, y, z = close
            self.lay(window, labyrinth_distance(ear, u, y, z), self.signals["labyrinth"])
        for start, end, radius in nerve_segments(ear, NERVE_ROOT):
            self._lay_rod(start, end, radius, "nerve")
        # The anterior inferior cerebellar artery loops to the porus and back to the cerebellum.
        loop = ear.porus + np.array([-2.5, 0.5, -2.6])
        self._lay_rod(np.array([3.0, -7.5, -9.0]), loop, 0.55, "blood")
        self._lay_rod(loop, NERVE_ROOT + np.array([2.5, 6.0, -5.0]), 0.5, "blood")

    def _lay_rod(self, start: np.ndarray, end: np.ndarray, radius: float, tissue: str) -> None:
        found = self.near(0.5 * (start + end), 0.5 * float(np.linalg.norm(end - start)) + radius)
        if found is not None:
            window, u, y, z = found
            self.lay(window, capsule(u, y, z, start, end, radius), self.signals[tissue])

    def paint_cochlea(self) -> None:
        """The spiral's fluid; its label holds the walls between the turns too."""
        found = self.near(self.ear.cochlea_centre, 6.0)
        if found is None:
            return
        window, u, y, z = found
        lumen, whole = cochlea_distance(self.ear, u, y, z)
        self.mark("cochlea", window, self.lay(window, whole, self.signals["bone"]))
        self.lay(window, lumen, self.signals["labyrinth"])

    def paint_tumour(self, tumour: Tumour, sequence: Sequence) -> None:
        """The tumour with its texture and cysts, and its masks inside and outside the canal."""
        found = self.near(self.ear.porus, tumour.reach)
        if found is None:
            return
        window, u, y, z = found
        distance, values, outside_bone = tumour_on(tumour, self.ear.frame(), sequence, u, y, z)
        share = self.lay(window, distance, values)
        self.mark("extrameatal", window, share * outside_bone)
        self.mark("intrameatal", window, share * ~outside_bone)

    def mark(self, structure: str, window: Window, share: np.ndarray) -> None:
        """Note the share of each sub-voxel that is labelled as `structure`."""
        self.masks[structure] = np.zeros(self.covered.shape, dtype=np.float32)
        self.masks[structure][window] = share


def tumour_on(tumour: Tumour, frame: CanalFrame, sequence: Sequence, x, y, z):
    """A tumour at points given in its frame's space: signed distance in mm, its signal, and what is out of the bone.

    Works in a drawn head and in a real one alike: each returned array has the points' shape, and the signal is given
    within 1 mm of the tumour, 0 elsewhere.
    """
    a, b, c = frame.local(x, y, z)
    distance = tumour.distance(a, b, c, frame.face_normal)
    inside = distance < 1.0
    values = np.zeros(inside.shape, dtype=np.float32)
    at = (a[inside], b[inside], c[inside])
    dense = replace(TISSUES["schwannoma"], gadolinium_mmol_l=tumour.gadolinium_mmol_l)
    loose = replace(TISSUES["schwannoma_loose"], gadolinium_mmol_l=0.55 * tumour.gadolinium_mmol_l)
    share = tumour.loose_share(*at)
    value = (1 - share) * tissue_signal(sequence, dense) + share * tissue_signal(sequence, loose)
    if tumour.cysts:
        value = np.where(tumour.cyst_distance(*at) < 0, tissue_signal(sequence, TISSUES["cyst"]), value)
    values[inside] = value
    normal = frame.face_normal
    return distance, values, a * normal[0] + b * normal[1] + c * normal[2] > 0


def _mean_of_parts(fine: np.ndarray, factors: tuple[int, int, int]) -> np.ndarray:
    """Mean over each voxel's sub-voxels: (Z f, Y f, X f) -> (Z, Y, X) float32."""
    mean = fine
    for axis, factor in enumerate(factors):
        if factor == 1:
            continue
        parts = [mean[(slice(None),) * axis + (slice(start, None, factor),)] for start in range(factor)]
        total = parts[0].astype(np.float32)
        for part in parts[1:]:
            total += part
        mean = total * np.float32(1 / factor)
    return mean.astype(np.float32, copy=False)
