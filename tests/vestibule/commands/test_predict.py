"""What `vestibule predict` shows while it runs."""

import numpy as np

from vestibule.commands.predict import predict_with_progress
from vestibule.editions import EDITIONS
from vestibule.inputs import Case
from vestibule.volume import Geometry, Volume, write_volume

IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


def all_tumour(volume):
    """Stands for a model."""
    return volume.with_voxels(np.ones(volume.voxels.shape, np.uint8))


def case_in(folder, name):
    voxels = np.arange(120, dtype=np.int16).reshape(4, 5, 6)
    image_path = folder / "in" / f"{name}_hrT2.nii.gz"
    write_volume(image_path, Volume(voxels, Geometry((4, 5, 6), (12.0, 5.0, 4.0), (0.0, 0.0, 0.0), IDENTITY)))
    return Case(name, image_path, folder / "out" / f"{name}.nii.gz")


def test_progress_is_silent_without_a_terminal_but_failures_are_told_in_one_line(tmp_path, capfd):
    good, bad = case_in(tmp_path, "a"), case_in(tmp_path, "[b]" + "x" * 150)
    bad.image_path.write_text("no image")
    outcome = predict_with_progress(all_tumour, [good, bad], EDITIONS[2022])
    assert len(outcome.written) == 1
    captured = capfd.readouterr()
    assert captured.out == ""
    lines = [line for line in captured.err.splitlines() if line.strip()]
    assert len(lines) == 1
    assert lines[0].startswith(f"no mask: {bad.image_path}: ")
