"""The same numbers as MONAI, whose definitions the default mode shares."""

import numpy as np
import pytest

from evaluation.metrics import surface_distances

monai_metrics = pytest.importorskip("monai.metrics", reason="MONAI is not installed")


def test_assd_and_hd95_equal_monais() -> None:
    import torch

    generator = np.random.default_rng(4)
    for _ in range(5):
        spacing = tuple(float(length) for length in generator.uniform(0.2, 4.0, 3))
        masks = [generator.random((6, 9, 8)) < generator.uniform(0.1, 0.9) for _ in range(2)]
        batches = [torch.from_numpy(mask)[None, None].float() for mask in masks]
        found = surface_distances(*masks, spacing)
        options = {"include_background": True, "spacing": spacing}
        assd = monai_metrics.compute_average_surface_distance(*batches, symmetric=True, **options)
        hd95 = monai_metrics.compute_hausdorff_distance(*batches, percentile=95, **options)
        assert found.assd() == pytest.approx(float(assd), rel=1e-5)
        assert found.hd95_directed() == pytest.approx(float(hd95), rel=1e-5)
