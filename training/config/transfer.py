"""Settings of the transfer of tumours into synthetic T2."""

from __future__ import annotations

from dataclasses import dataclass

INTENSITY_RULES = ("none", "reference")
BLENDINGS = ("soft", "poisson", "none")


@dataclass(frozen=True)
class TransferConfig:
    """The copy of the source tumour into synthetic T2 and its harmonisation: domain B'."""

    intensity: str = "reference"
    """What happens to the copy before the injection. `none`: the paper. `reference`: brought to the mean and spread
    of the tumour in the reference slice, rims left out where `rim_px` is set; the better rule by far on phantoms."""
    level: int | None = None
    """Level of the harmoniser that the copy enters at, from 1 on; of SinGAN the scale n*, whose coarsest, 0, knows
    noise alone. None: no harmonisation, the copy as it is."""
    structures: tuple[str, ...] = ("vs",)
    rim_px: float = 0.6
    """Standard deviation, in the slice, of the blur that tells how much of the copy's outermost voxels is tumour: by so
    much they have the intensities of the tumour's core, by the rest those of phi0_AB(I). 0: the copy ends with the rim
    that it has on T1, as in the paper."""
    edge_px: float = 1.0
    """Standard deviation of the soft edge of the region that the one-shot model replaces."""
    blending: str = "soft"
    """How the structure goes in. `soft`: its intensities, with a soft edge. `poisson`: its gradients (Pérez et al.
    2003). `none`: not at all, B' is phi0_AB(I). The last two are there for ablations."""

    def __post_init__(self) -> None:
        if self.intensity not in INTENSITY_RULES:
            raise ValueError(f"intensity must be one of {INTENSITY_RULES}, got {self.intensity!r}")
        if self.blending not in BLENDINGS:
            raise ValueError(f"blending must be one of {BLENDINGS}, got {self.blending!r}")
        if min(self.rim_px, self.edge_px) < 0:
            raise ValueError(f"rim_px and edge_px must not be negative, got {self.rim_px} and {self.edge_px}")
