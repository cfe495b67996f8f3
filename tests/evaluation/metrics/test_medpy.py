"""The same numbers as MedPy, where somebody has installed it. It is GPL and never a dependency.

MedPy 0.5: `pip install medpy`, compared with the default mode. MedPy 0.4.0: put its unpacked source first on
PYTHONPATH, compared with the mode `challenge`; it calls itself 0.3.0.
"""

import numpy as np
import pytest

from evaluation.metrics import dice, surface_distances

medpy = pytest.importorskip("medpy", reason="MedPy is not installed")


@pytest.mark.parametrize("seed", range(20))
def test_dice_assd_and_hd95_equal_medpys(seed: int) -> None:
    from medpy.metric import assd, dc, hd95

    generator = np.random.default_rng(seed)
    shape, spacing = generator.integers(1, 12, 3), tuple(generator.uniform(0.2, 4.0, 3))
    prediction, reference = (generator.random(shape) < generator.random() for _ in range(2))
    prediction.flat[0] = reference.flat[-1] = True
    mode = "default" if tuple(int(n) for n in medpy.__version__.split(".")[:2]) >= (0, 5) else "challenge"
    found = surface_distances(prediction, reference, spacing)
    assert found.assd(mode) == pytest.approx(assd(prediction, reference, voxelspacing=spacing), abs=1e-12)
    assert found.hd95_pooled() == pytest.approx(hd95(prediction, reference, voxelspacing=spacing), abs=1e-12)
    assert dice(prediction, reference) == pytest.approx(dc(prediction, reference), abs=1e-15)
