"""The harmonisers: models that make a copied tumour look like T2. The one place that names them; imports no torch."""

from __future__ import annotations

HARMONISERS: dict[str, str] = {"singan": "training.harmonisers.singan:SinGANHarmoniser"}
"""`module:class` of every kind. The class's `Settings` is the dataclass of its section in the configuration."""
DEFAULT = "singan"
"""The kind where a configuration names none."""
