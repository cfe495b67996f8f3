import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from training.diagnostics.choose_scale import Trial, choose, summary_of, sweep
from training.stage_table import CYCLEGAN
from training.stages import harmoniser
from vestibule.errors import InputError
from vestibule.files import write_json
from vestibule.networks import build_generator


def test_smallest_distance_wins_among_the_levels_that_keep_the_shape():
    def row(level, patches, shape):
        return {"level": level, "patches": patches, "shape": shape}

    rows = [row(None, 0.9, 1.0), row(0, 0.1, 0.5), row(1, 0.3, 0.95), row(2, 0.5, 0.99)]
    assert choose(rows, 0.9) == 1
    assert choose(rows, 0.5) == 0
    assert choose([row(None, 0.9, 0.2), row(0, 0.8, 0.5), row(1, 0.3, 0.1)], 0.9) == 0


@pytest.fixture
def fitted_run(config, run_dir):
    """A run with a CycleGAN of random weights and a harmoniser."""
    torch.manual_seed(0)
    generator = build_generator(config.cyclegan.generator)
    save_file(generator.state_dict(), run_dir / "cyclegan" / "source_to_target.safetensors")
    values = asdict(config)
    recorded = {section: values[section] for section in CYCLEGAN.sections}
    write_json(run_dir / "cyclegan" / "config.json", {"config": recorded})
    harmoniser.train(config, run_dir)
    for stage in ("cyclegan", "harmoniser"):
        write_json(run_dir / stage / "stage.json", {"config": {}, "outputs": {}})
    return run_dir


def test_sweep_of_a_run_tries_every_level_and_plots_them(config, fitted_run):
    record, sheet = sweep(config, fitted_run)
    content = json.loads(record.read_text())
    cascade = json.loads((fitted_run / "harmoniser" / "cascade.json").read_text())
    assert [row["level"] for row in content["levels"]] == [None, *range(1, len(cascade["sizes"]))]
    assert all(row["patches"] > 0 and 0 <= row["shape"] <= 1 for row in content["levels"])
    assert sheet.stat().st_size > 5000
    assert content["outlined"]


def test_without_the_outline_the_choice_is_as_if_there_were_none(config, fitted_run):
    config = replace(config, transfer=replace(config.transfer, intensity="none"))
    record, _ = sweep(config, fitted_run, ignore_outline=True)
    ignored = json.loads(record.read_text())
    assert not ignored["outlined"]
    assert ignored["levels"][0]["shape"] > 0.9  # the copy as it is
    images = fitted_run / "harmoniser" / "reference.npz"
    with np.load(images) as arrays:
        image = arrays["image"]
    np.savez(images, image=image, tumour=np.zeros(image.shape, dtype=bool))
    record, _ = sweep(config, fitted_run)
    assert json.loads(record.read_text()) == ignored


def test_rule_that_needs_the_outline_cannot_ignore_it(config, fitted_run):
    with pytest.raises(InputError, match="'reference' uses the outline that --ignore-outline leaves out"):
        sweep(config, fitted_run, ignore_outline=True)


def test_level_at_which_no_case_has_a_whole_patch_is_not_chosen():
    nan = float("nan")
    found = summary_of(1, [Trial(1, nan, 1.0), Trial(1, nan, 0.5), Trial(2, 0.4, 0.9)])
    assert found == {"level": 1, "patches": None, "shape": 0.75}
    assert choose([found, {"level": 2, "patches": 0.4, "shape": 0.75}], 0.9) == 2
