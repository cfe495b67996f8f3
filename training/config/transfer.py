"""Settings of the transfer of tumours into synthetic T2."""

from __future__ import annotations

from dataclasses import dataclass

INTENSITY_RULES = ("none", "reference")
BLENDINGS = ("soft", "poisson", "none")


@dataclass(frozen=True)
class TransferConfig:
    """The copy of the source tumour into synthetic T2 and its harmonisation: domain B'."""

    intensity: str = "reference"
    """What happens to the copied tumour before it is harmonised. `none`: nothing, as in the paper. `reference`: its
    mean and standard deviation are matched to those of the tumour in the reference slice, by the cores of both where
    `rim_px` is set; the better rule by far on phantoms, but it needs the outline of that tumour."""
    level: int | None = None
    """Level of the harmoniser at which the copy enters, from 1 on; with SinGAN the scale n*, whose coarsest, 0, knows
    noise alone. `null`: no harmonisation. The paper does not give its own."""
    structures: tuple[str, ...] = ("vs",)
    """Structures that are copied: `vs`, `cochlea`. The paper copies the tumour."""
    rim_px: float = 0.6
    """Standard deviation, working voxels in the slice, of the blur that tells how much of the copy's outermost voxels
    is tumour: by this share they get the intensities of the tumour's core, by the rest those of the synthetic T2. 0:
    the copy ends with the rim that it has on T1, as in the paper."""
    edge_px: float = 1.0
    """Standard deviation of the soft edge of the harmonised region, working voxels; 0: a hard edge. Our choice."""
    blending: str = "soft"
    """How the structure is inserted. `soft`: its intensities, with a soft edge. `poisson`: its gradients (Pérez et al.
    2003). `none`: not at all, B' is the synthetic T2. The last two are for ablations."""

    def __post_init__(self) -> None:
        if self.intensity not in INTENSITY_RULES:
            raise ValueError(f"intensity must be one of {INTENSITY_RULES}, got {self.intensity!r}")
        if self.blending not in BLENDINGS:
            raise ValueError(f"blending must be one of {BLENDINGS}, got {self.blending!r}")
        smaller = min(self.rim_px, self.edge_px)
        if smaller < 0:
            raise ValueError(f"rim_px and edge_px must not be negative, got {self.rim_px} and {self.edge_px}")
