"""A patient: head, two ears, perhaps a tumour, and how the head lies in the scanner. Sampled here, drawn elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.phantom.config import PhantomConfig
from training.phantom.ear import Ear, sample_ear
from training.phantom.head_model import Head, sample_head
from training.phantom.shapes import rotation
from training.phantom.tumour import Tumour, measure_extent, sample_tumour, sample_volume


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
        return {"left": self.ears[0], "right": self.ears[1]}.get(self.tumour_side)

    @property
    def turn(self) -> np.ndarray:
        """Rotation (3, 3) from the head's frame to the scanner's."""
        return rotation(self.turn_deg)

    def extent(self) -> tuple[float, float]:
        """Length of the tumour in the canal and its largest axial diameter in the angle, mm."""
        if self.tumour is None:
            return 0.0, 0.0
        return measure_extent(self.tumour, self.tumour_ear.frame().face_normal)


def make_patient(config: PhantomConfig, rng: np.random.Generator) -> Patient:
    """Sample a patient's anatomy. The two sides vary apart; tumours are as often left as right."""
    head = sample_head(rng)
    canal_half = 27.8 * head.scale_xyz[0]
    ears = tuple(sample_ear(rng, sign, canal_half) for sign in (1, -1))
    has_tumour, is_left = rng.random() < config.prevalence, rng.random() < 0.5
    side = ("left" if is_left else "right") if has_tumour else "none"
    tumour = None
    if has_tumour:
        ear = ears[0 if is_left else 1]
        volume = sample_volume(rng, config.volume_mm3)
        tumour = sample_tumour(rng, volume, ear.canal_length, ear.canal_radius, ear.frame().face_normal)
    return Patient(
        edition=config.edition,
        head=head,
        ears=ears,
        tumour=tumour,
        tumour_side=side,
        turn_deg=np.clip(rng.normal(0, (4.0, 2.5, 3.0)), -10, 10),
        shift_mm=rng.normal(0, (2.5, 4.0, 3.0)),
    )
