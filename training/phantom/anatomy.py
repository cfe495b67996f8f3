"""A patient: head, two ears, perhaps a tumour, and how the head lies in the scanner. Sampled here, not rendered."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.phantom.config import PhantomConfig
from training.phantom.ear import Ear, sample_ear
from training.phantom.head_model import Head, sample_head
from training.phantom.shapes import rotation
from training.phantom.tumour import sample_tumour, sample_volume
from training.phantom.tumour_shape import Tumour, measure_extent

CANAL_HALF_MM = 27.8
"""Distance of a canal's middle from the midline in the mean head."""
TURN_SD_DEG = (4.0, 2.5, 3.0)
"""How heads are turned about x, y, z in the scanner."""
LARGEST_TURN_DEG = 10.0
SHIFT_SD_MM = (2.5, 4.0, 3.0)
"""How they are shifted along x, y, z."""


@dataclass(frozen=True)
class Patient:
    """Everything that stays the same whichever scanner looks at the patient."""

    edition: int
    """Year whose label values `render` writes."""
    head: Head
    ears: tuple[Ear, Ear]
    """Left, right."""
    tumour: Tumour | None
    tumour_side: str
    """`left`, `right` or `none`."""
    turn_deg: np.ndarray
    """How the head is turned about x, y, z in the scanner."""
    shift_mm: np.ndarray
    """Where the point midway between the canals lies in the scanner, x y z."""

    @property
    def tumour_ear(self) -> Ear | None:
        """The ear with the tumour."""
        left, right = self.ears
        return {"left": left, "right": right}.get(self.tumour_side)

    @property
    def turn(self) -> np.ndarray:
        """Rotation (3, 3) from the head's frame to the scanner's."""
        return rotation(self.turn_deg)

    @property
    def mass(self) -> tuple[Ear, Tumour] | None:
        """The ear with the tumour, and the tumour; None where there is none."""
        ear = self.tumour_ear
        if ear is None or self.tumour is None:
            return None
        return ear, self.tumour

    def extent(self) -> tuple[float, float]:
        """Length of the tumour in the canal and its largest axial diameter in the angle, mm."""
        if self.mass is None:
            return 0.0, 0.0
        ear, tumour = self.mass
        return measure_extent(tumour, ear.frame().face_normal)


def make_patient(config: PhantomConfig, rng: np.random.Generator) -> Patient:
    """Sample a patient's anatomy. The two sides vary apart; tumours are as often left as right."""
    head = sample_head(rng)
    canal_half_mm = CANAL_HALF_MM * head.scale_xyz[0]
    left = sample_ear(rng, 1, canal_half_mm)
    right = sample_ear(rng, -1, canal_half_mm)

    # The side is sampled for everyone, so that another prevalence leaves the rest of a patient as it was.
    has_tumour = rng.random() < config.prevalence
    is_left = rng.random() < 0.5
    tumour = None
    side = "none"
    if has_tumour:
        side = "left" if is_left else "right"
        ear = left if is_left else right
        volume_mm3 = sample_volume(rng, config.volume_mm3)
        face_normal = ear.frame().face_normal
        tumour = sample_tumour(rng, volume_mm3, ear.canal_length, ear.canal_radius, face_normal)

    turn_deg = rng.normal(0, TURN_SD_DEG)
    turn_deg = np.clip(turn_deg, -LARGEST_TURN_DEG, LARGEST_TURN_DEG)
    shift_mm = rng.normal(0, SHIFT_SD_MM)
    return Patient(
        edition=config.edition,
        head=head,
        ears=(left, right),
        tumour=tumour,
        tumour_side=side,
        turn_deg=turn_deg,
        shift_mm=shift_mm,
    )
