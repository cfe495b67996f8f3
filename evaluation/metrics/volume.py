"""Volumes of a structure in mm³, predicted and expected, and how far they are apart."""

from __future__ import annotations

from evaluation.metrics.base import MaskPair, Metric


def predicted_mm3(pair: MaskPair) -> float:
    """Volume of the prediction."""
    return pair.prediction_voxels * pair.voxel_mm3


def reference_mm3(pair: MaskPair) -> float:
    """Volume of the reference."""
    return pair.reference_voxels * pair.voxel_mm3


def error_mm3(pair: MaskPair) -> float:
    """Volume of the prediction less that of the reference."""
    predicted = predicted_mm3(pair)
    expected = reference_mm3(pair)
    return predicted - expected


VOLUME = Metric("volume_mm3", "volume", "mm³", 0, None, predicted_mm3)
REFERENCE_VOLUME = Metric("reference_volume_mm3", "reference volume", "mm³", 0, None, reference_mm3)
# Signed: neither the largest nor the smallest is the best.
VOLUME_ERROR = Metric("volume_error_mm3", "volume error", "mm³", 0, None, error_mm3, in_report=True, signed=True)
