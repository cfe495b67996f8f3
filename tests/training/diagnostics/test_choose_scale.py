import json
from dataclasses import asdict

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from training.data.reference_slice import Reference
from training.diagnostics.choose_scale import Trial, choose, look_of, shape_kept, summary_of, sweep
from training.stages import harmoniser
from vestibule.errors import InputError
from vestibule.files import write_json
from vestibule.networks import build_generator


def test_shape_is_kept_where_the_inside_of_the_outline_looks_like_the_tumour():
    mask = np.zeros((3, 40, 40), dtype=bool)
    mask[1, 15:25, 15:25] = True
    image = np.where(mask, -0.5, 0.5)
    assert shape_kept(image, mask, -0.6, -0.4) == 1.0
    image[1, 17:23, 17:23] = 0.9  # the core is not the outline's business
    assert shape_kept(image, mask, -0.6, -0.4) == 1.0
    image[1, 15:25, 15:17] = 0.5  # the surroundings have flowed in along one side
    assert shape_kept(image, mask, -0.6, -0.4) == pytest.approx(1 - 20 / 64)


def test_smallest_distance_wins_among_the_levels_that_keep_the_shape():
    def row(level, patches, shape):
        return {"level": level, "patches": patches, "shape": shape}

    rows = [row(None, 0.9, 1.0), row(0, 0.1, 0.5), row(1, 0.3, 0.95), row(2, 0.5, 0.99)]
    assert choose(rows) == 1
    assert choose([row(None, 0.9, 0.2), row(0, 0.8, 0.5), row(1, 0.3, 0.1)]) == 0


def test_sweep_of_a_run_tries_every_level_and_plots_them(config, run_dir):
    torch.manual_seed(0)
    generator = build_generator(config.cyclegan.generator)
    save_file(generator.state_dict(), run_dir / "cyclegan" / "source_to_target.safetensors")
    write_json(run_dir / "cyclegan" / "config.json", {"config": {"cyclegan": asdict(config.cyclegan)}})
    harmoniser.train(config, run_dir)
    for stage in ("cyclegan", "harmoniser"):
        write_json(run_dir / stage / "stage.json", {"outputs": {}})
    record, sheet = sweep(config, run_dir)
    content = json.loads(record.read_text())
    cascade = json.loads((run_dir / "harmoniser" / "cascade.json").read_text())
    assert [row["level"] for row in content["levels"]] == [None, *range(1, len(cascade["sizes"]))]
    assert all(row["patches"] > 0 and 0 <= row["shape"] <= 1 for row in content["levels"])
    assert sheet.stat().st_size > 5000


def test_reference_without_an_outlined_tumour_is_named():
    flat = np.zeros((20, 20))
    with pytest.raises(InputError, match="case_1, slice 3: shows no outlined tumour"):
        look_of(Reference("case_1", 3, "given", flat, flat > 0))


def test_level_at_which_no_case_has_a_whole_patch_is_not_chosen():
    nan = float("nan")
    found = summary_of(1, [Trial(1, nan, 1.0), Trial(1, nan, 0.5), Trial(2, 0.4, 0.9)])
    assert found == {"level": 1, "patches": None, "shape": 0.75}
    assert choose([found, {"level": 2, "patches": 0.4, "shape": 0.75}]) == 2
