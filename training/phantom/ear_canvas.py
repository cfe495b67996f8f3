"""The inner ear, the canal and a tumour, painted on sub-voxels around one ear."""

from __future__ import annotations

import numpy as np

from training.phantom.ear import Ear, canal_distance, cochlea_distance, labyrinth_distance, nerve_segments
from training.phantom.lattice import Lattice, Window
from training.phantom.shapes import capsule, coverage, ellipsoid
from training.phantom.signals import Sequence
from training.phantom.skull import petrous_distance
from training.phantom.tumour_shape import Tumour
from training.phantom.tumour_signal import tumour_on

FINE_MM = 0.6
"""Sub-voxels of the inner ear are at most this wide, and at most half a voxel."""
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
        between = 0.5 * (ear.fundus + ear.vestibule)
        capsule_centre = between + OTIC_CAPSULE_OFFSET
        otic_capsule = ellipsoid(u, y, z, capsule_centre, OTIC_CAPSULE_RADII_MM)

        # A tumour widens the canal that it grows in.
        widened = tumour.canal_radius if tumour else 0.0
        canal_radius = max(ear.canal_radius, widened)
        canal = canal_distance(ear, u, y, z, canal_radius)
        canal_wall = canal - CANAL_WALL_MM

        # Neither capsule nor wall stand out of the petrous bone.
        inside_petrous = petrous_distance(ear, u, y, z) + 0.5
        bone = np.minimum(otic_capsule, canal_wall)
        bone = np.maximum(bone, inside_petrous)
        self.lay(window, bone, self.signals["bone"])
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
        self.mark("cochlea", window, share)

        # The walls are bone; the lumen is laid over them.
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

        # Both parts share the sub-voxels' edges, so that together they are the tumour.
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
        length_mm = float(np.linalg.norm(end - start))
        half_length_mm = 0.5 * length_mm
        found = self.near(middle, half_length_mm + radius_mm)
        if found is None:
            return

        window, u, y, z = found
        distance = capsule(u, y, z, start, end, radius_mm)
        self.lay(window, distance, self.signals[tissue])
