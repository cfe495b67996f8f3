"""What `vestibule predict` shows while it runs."""

import numpy as np

from vestibule import logs
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


def test_of_a_short_batch_failures_and_doubts_are_told_a_line_each(tmp_path, capfd):
    good, bad = case_in(tmp_path, "a"), case_in(tmp_path, "[b]" + "x" * 150)
    bad.image_path.write_text("no image")
    logs.start()
    outcome = predict_with_progress(all_tumour, [good, bad], EDITIONS[2022])
    logs.stop()
    assert len(outcome.written) == 1
    captured = capfd.readouterr()
    assert captured.out == ""
    lines = [line for line in captured.err.splitlines() if line.strip()]
    assert len(lines) == 2
    assert lines[0].startswith(f"warning: {good.image_path}: its mask may be wrong: ")
    assert lines[1].startswith(f"no mask: {bad.image_path}: ")
