import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.planned_segmenter import segmenter_config, write_planned
from vestibule.exchange.nnunet import DATASET
from vestibule.pipeline import load_model
from vestibule.volume import Geometry, Volume
from vestibule.weights import open_bundle

CHECKPOINT = "fold_0/checkpoint_final.pth"


@pytest.fixture
def model_folder(run, tiny_bundle, tmp_path):
    """The tiny bundle's segmenter as nnU-Net has it."""
    assert run("weights", "export", tiny_bundle, tmp_path / "exported", "--to", "nnunet")[0] == 0
    (folder,) = (tmp_path / "exported" / DATASET).iterdir()
    return folder


@pytest.fixture
def refused(run, tiny_bundle, tmp_path):
    """Import a folder that must be refused; the last line on stderr."""

    def import_it(folder, *options):
        before = sorted(tmp_path.iterdir())
        words = ["--bundle", tiny_bundle, "--trained-on", "same", *options]
        code, _, lines = run("weights", "import", folder, tmp_path / "out", *words)
        assert code == 1
        assert sorted(tmp_path.iterdir()) == before
        return lines[-1]

    return import_it


def change(path, **changes):
    values = json.loads(path.read_text())
    values |= changes
    path.write_text(json.dumps(values))


def change_configuration(folder, **changes):
    plans = json.loads((folder / "plans.json").read_text())
    plans["configurations"]["3d_fullres"] |= changes
    (folder / "plans.json").write_text(json.dumps(plans))


def change_checkpoint(folder, **changes):
    content = torch.load(folder / CHECKPOINT, weights_only=True)
    content |= changes
    torch.save(content, folder / CHECKPOINT)


def test_what_was_exported_comes_back_with_the_same_masks(exported, run, phantom_weights, expected, tmp_path):
    words = ["--bundle", phantom_weights, "--trained-on", "same"]
    code, _, _ = run("weights", "import", exported("nnunet"), tmp_path / "back", *words)
    assert code == 0
    code, out, _ = run("weights", "verify", tmp_path / "back")
    assert (code, "whole, 6 files" in out) == (0, True)
    mask = load_model(tmp_path / "back", device="cpu").run(expected.scan).voxels
    np.testing.assert_array_equal(mask, expected.mask)


def test_the_manifest_says_where_the_segmenter_came_from(run, model_folder, tiny_bundle, tmp_path):
    words = ["--bundle", tiny_bundle, "--trained-on", "outside", "--arm", "oneshot"]
    assert run("weights", "import", model_folder, tmp_path / "out", *words)[0] == 0
    bundle = open_bundle(tmp_path / "out")
    record = bundle.manifest["provenance"]["imported_segmenter"]
    assert record["arms"] == ["oneshot"]
    assert record["folder"] == "nnUNetTrainer__nnUNetPlans__3d_fullres"
    assert sorted(record["files"]) == ["dataset.json", CHECKPOINT, "plans.json"]
    assert bundle.broken_rules == ["trained on data from outside the challenge"]
    assert bundle.manifest["scores"] == {}
    # The other arm keeps its own.
    networks = bundle.manifest["networks"]
    assert networks["baseline"] == open_bundle(tiny_bundle).manifest["networks"]["baseline"]
    assert networks["oneshot"]["segmenter"]["tensors"] == ["imported_fold_0"]


def test_a_training_of_nnunet_becomes_the_segmenter(run, tiny_bundle, tmp_path, monkeypatch):
    """With its optimiser, its log of NumPy's numbers, and deep supervision."""
    from nnunetv2.training.logging.nnunet_logger import MetaLogger

    from training.stages.segmenter import train_on

    monkeypatch.setattr(MetaLogger, "plot_progress_png", lambda self, folder: None)
    monkeypatch.setenv("nnUNet_n_proc_DA", "0")
    stage = tmp_path / "segmenter"
    write_planned(stage, tiny_bundle)
    train_on([], "T1", segmenter_config(epochs=1, iterations_per_epoch=1), stage)
    (dataset,) = (stage / "nnunet" / "results").rglob("dataset.json")
    words = ["--bundle", tiny_bundle, "--trained-on", "same"]
    code, _, lines = run("weights", "import", dataset.parent, tmp_path / "out", *words)
    assert code == 0, lines
    grid = Geometry((8, 32, 32), (3.0, 2.0, 2.0), (0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
    noise = np.random.default_rng(0).normal(size=grid.size_zyx).astype(np.float32)
    model = load_model(tmp_path / "out", device="cpu")
    assert model.run(Volume(noise, grid)).voxels.shape == grid.size_zyx


def test_a_pickle_with_code_is_refused_and_not_run(refused, model_folder, tmp_path):
    class Payload:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    torch.save({"network_weights": Payload()}, model_folder / CHECKPOINT)
    message = refused(model_folder)
    assert "checkpoint_final.pth: holds more than tensors and numbers" in message
    assert "mkdir" in message
    assert not (tmp_path / "ran").exists()


def test_plans_that_name_code_are_refused(refused, model_folder):
    plans = json.loads((model_folder / "plans.json").read_text())
    plans["configurations"]["3d_fullres"]["architecture"]["network_class_name"] = "torch.hub.load"
    (model_folder / "plans.json").write_text(json.dumps(plans))
    assert "network_class_name must be one of" in refused(model_folder)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"background": 0, "vs": 1}, "labels have the values [0, 1]; edition 2022 has 0 background, 1 vs, 2 cochlea"),
        ({"background": 0, "VS": 1, "cochlea": 2, "other": 3}, "labels have the values [0, 1, 2, 3]"),
        ({"background": 0, "cochlea": 1, "tumour": 2}, "label 1 is called 'cochlea'; in edition 2022 cochlea has 2"),
        ({"background": 0, "left": 1, "Vestibular_Schwannoma": 2}, "label 2 is called 'Vestibular_Schwannoma'"),
    ],
)
def test_labels_that_are_not_the_edition_s_are_refused(refused, model_folder, labels, message):
    change(model_folder / "dataset.json", labels=labels)
    assert message in refused(model_folder)


def test_labels_of_other_names_are_taken(run, model_folder, tiny_bundle, tmp_path):
    change(model_folder / "dataset.json", labels={"background": 0, "vestibular_canal": 1, "inner_ear": 2})
    words = ["--bundle", tiny_bundle, "--trained-on", "same"]
    assert run("weights", "import", model_folder, tmp_path / "out", *words)[0] == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"normalization_schemes": ["CTNormalization"]}, "CTNormalization depends on the scale of intensities"),
        ({"use_mask_for_norm": [True]}, "use_mask_for_norm asks for images whose background is 0"),
        ({"patch_size": [8, 5000, 16]}, "patch_size must be a list of 3 whole numbers from 1 to 4096"),
    ],
)
def test_plans_that_do_not_suit_are_refused(refused, model_folder, changes, message):
    change_configuration(model_folder, **changes)
    assert f"plans.json: {message}" in refused(model_folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network_weights": {}}, "lacks 16 parameters of the planned network"),
        ({"network_weights": 3}, "holds no network_weights"),
        ({"init_args": {}}, "names no configuration"),
        ({"inference_allowed_mirroring_axes": (0, 3)}, "inference_allowed_mirroring_axes must be some of [0, 1, 2]"),
    ],
)
def test_checkpoints_that_do_not_suit_are_refused(refused, model_folder, changes, message):
    change_checkpoint(model_folder, **changes)
    assert message in refused(model_folder)


def test_weights_that_are_not_finite_are_refused(refused, model_folder):
    weights = torch.load(model_folder / CHECKPOINT, weights_only=True)["network_weights"]
    change_checkpoint(model_folder, network_weights={name: value * float("nan") for name, value in weights.items()})
    assert "not finite" in refused(model_folder)


def test_a_checkpoint_that_was_cut_short_is_named(refused, model_folder):
    path = model_folder / CHECKPOINT
    path.write_bytes(path.read_bytes()[:-200])
    assert "checkpoint_final.pth: is cut short or damaged" in refused(model_folder)


def test_a_folder_that_is_no_model_is_named(refused, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "empty: no dataset.json in it" in refused(tmp_path / "empty")


def test_an_unfinished_training_is_told(refused, model_folder):
    Path(model_folder / CHECKPOINT).rename(model_folder / "fold_0" / "checkpoint_best.pth")
    message = refused(model_folder)
    assert "no fold_*/checkpoint_final.pth in it" in message
    assert "--checkpoint" in message


def test_settings_beside_the_model_are_checked(refused, model_folder):
    change(model_folder / "vestibule_settings.json", components={"vs": {"most": -3}})
    assert "vestibule_settings.json: components: most must be a whole number" in refused(model_folder)


def test_a_second_import_leaves_the_first_alone(run, model_folder, tiny_bundle, tmp_path):
    words = ["--trained-on", "same", "--bundle"]
    assert run("weights", "import", model_folder, tmp_path / "a", *words, tiny_bundle, "--arm", "oneshot")[0] == 0
    other = shutil.copytree(model_folder, tmp_path / "other")
    weights = torch.load(other / CHECKPOINT, weights_only=True)["network_weights"]
    change_checkpoint(other, network_weights={name: value * 2 for name, value in weights.items()})
    assert run("weights", "import", other, tmp_path / "b", *words, tmp_path / "a", "--arm", "baseline")[0] == 0
    first = open_bundle(tmp_path / "a").tensors("imported_fold_0")
    second = open_bundle(tmp_path / "b")
    for name, tensor in second.tensors("imported_fold_0").items():
        assert torch.equal(tensor, first[name])
        assert torch.equal(second.tensors("imported2_fold_0")[name], 2 * tensor)
