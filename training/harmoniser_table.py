"""The harmonisers: models that make a copied tumour look like T2. The one place that names them; imports no torch."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from training.harmonisers.base import Harmoniser

HARMONISERS: dict[str, str] = {
    "singan": "training.harmonisers.singan:SinGANHarmoniser",
    "gpnn": "training.harmonisers.patch_nearest:PatchNearestHarmoniser",
    "patch_diffusion": "training.harmonisers.patch_diffusion:PatchDiffusionHarmoniser",
    "gpdm": "training.harmonisers.patch_distribution:PatchDistributionHarmoniser",
}
"""`module:class` of every kind. The class's `Settings` is the dataclass of its section in the configuration."""
DEFAULT = "singan"
"""The kind where a configuration names none."""


def harmoniser_class(kind: str) -> type[Harmoniser]:
    """The class of a kind of harmoniser, imported when it is asked for.

    Raises KeyError for a kind that the table does not have.
    """
    module, _, name = HARMONISERS[kind].partition(":")
    return getattr(importlib.import_module(module), name)
