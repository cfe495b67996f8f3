"""A phantom's T2 that every format segments, and what this toolkit makes of it."""

import sys
from dataclasses import dataclass

import numpy as np
import pytest

from vestibule.boxes import bounding_box
from vestibule.cli import main
from vestibule.pipeline import Model, load_model
from vestibule.preprocessing import to_working
from vestibule.volume import Volume, read_labels, read_scan


@dataclass
class Expected:
    """A case through the packaged weights."""

    model: Model
    scan: Volume
    working: Volume
    t1: np.ndarray
    mask: np.ndarray


@pytest.fixture(scope="session")
def phantom_weights(repository):
    """The packaged bundle."""
    return repository / "weights" / "phantom"


@pytest.fixture(scope="session")
def expected(repository, phantom_weights) -> Expected:
    """What our own pipeline makes of a phantom."""
    case = repository / "tests" / "container" / "case"
    (path,) = case.glob("input/images/*/*.mha")
    (mask_path,) = case.glob("expected/images/*/*.mha")
    whole = read_scan(path)
    slices, _, _ = bounding_box(read_labels(mask_path).voxels)
    _, size_y, size_x = whole.geometry.size_zyx
    # No more slices than the structures have, which is quicker.
    scan = whole.part((slices, slice(0, size_y), slice(0, size_x)))
    model = load_model(phantom_weights, device="cpu")
    working = to_working(scan, model.preprocessing)
    mask = model.run(scan).voxels
    # Both structures are there to be compared.
    assert set(np.unique(mask)) == {0, 1, 2}
    return Expected(model, scan, working, model.synthetic_t1(working), mask)


@pytest.fixture(scope="session")
def exported(phantom_weights, tmp_path_factory):
    """A function that exports the packaged weights once for each format, by the command."""
    folders = {}

    def export(form):
        if form not in folders:
            out = tmp_path_factory.mktemp("exported") / form
            with pytest.MonkeyPatch.context() as patch:
                words = ["weights", "export", str(phantom_weights), str(out), "--to", form]
                patch.setattr(sys, "argv", ["vestibule", *words])
                main()
            folders[form] = out
        return folders[form]

    return export
