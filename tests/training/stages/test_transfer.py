from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from training.data.slices import read_cases
from training.stage_table import TRANSFER
from training.stages import harmoniser
from training.stages.transfer import transfer
from vestibule.errors import InputError
from vestibule.files import read_json, write_json
from vestibule.networks import build_generator


@pytest.fixture
def ready(config, run_dir):
    """A run with a random CycleGAN and a barely trained SinGAN, in which the first source case has no tumour."""
    torch.manual_seed(0)
    save_file(
        build_generator(config.cyclegan.generator).state_dict(),
        run_dir / "cyclegan" / "source_to_target.safetensors",
    )
    harmoniser.train(replace(config, harmoniser=replace(config.harmoniser, iterations=2)), run_dir)
    index = read_json(run_dir / "prepare" / "index.json")
    entry = index["cases"][0]
    entry["tumour_voxels"] = [0] * len(entry["tumour_voxels"])
    labels = run_dir / "prepare" / entry["label"]
    np.save(labels, np.zeros_like(np.load(labels)))
    write_json(run_dir / "prepare" / "index.json", index)
    return run_dir


def test_case_without_a_tumour_is_kept_as_translated_and_counted(config, ready):
    transfer(config, ready)
    index = read_json(ready / "transfer" / "index.json")
    assert index["without_tumour"] == 1
    assert len(index["cases"]) == 3
    plotted = {path.stem for path in (ready / "transfer" / "figures").glob("*.png")}
    assert plotted == {"case_1", "case_2"}
    moved = {case.name: case for case in read_cases(ready, "source", TRANSFER)}
    assert all(np.isfinite(case.image).all() and np.abs(case.image).max() <= 1 for case in moved.values())


def test_all_cases_without_a_tumour_go_through(config, ready):
    index = read_json(ready / "prepare" / "index.json")
    for entry in index["cases"][:3]:
        labels = ready / "prepare" / entry["label"]
        np.save(labels, np.zeros_like(np.load(labels)))
        entry["tumour_voxels"] = [0] * len(entry["tumour_voxels"])
    write_json(ready / "prepare" / "index.json", index)
    transfer(config, ready)
    assert read_json(ready / "transfer" / "index.json")["without_tumour"] == 3


def test_what_the_copies_were_matched_to_is_recorded(config, ready):
    transfer(replace(config, transfer=replace(config.transfer, intensity="reference", rim_px=0.0)), ready)
    (recorded,) = read_json(ready / "transfer" / "index.json")["matched_intensity"]
    with np.load(ready / "harmoniser" / "reference.npz") as reference:
        inside = reference["image"][reference["tumour"]]
    assert recorded == pytest.approx({"mean": inside.mean(), "sd": inside.std()})


@pytest.mark.parametrize("scale", [-1, 0, 99])
def test_scale_that_the_cascade_does_not_have_is_refused_before_any_work(config, ready, scale):
    beyond = replace(config, transfer=replace(config.transfer, level=scale))
    with pytest.raises(InputError, match=rf"transfer.level must be from 1 to \d, got {scale}"):
        transfer(beyond, ready)
    assert not (ready / "transfer" / "source").exists()


def test_label_of_another_size_than_its_image_is_refused(config, ready):
    labels = ready / "prepare" / read_json(ready / "prepare" / "index.json")["cases"][1]["label"]
    np.save(labels, np.load(labels)[1:])
    with pytest.raises(ValueError, match="one shape"):
        transfer(config, ready)
