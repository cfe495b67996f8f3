"""A bundle from a stranger: nothing that it names is called unless it is known, and nothing is built of absurd size."""

import json
import shutil
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from vestibule.cli import cli
from vestibule.errors import InputError
from vestibule.files import file_sha256
from vestibule.pipeline import load_model


def changed(bundle: Path, name: str, change) -> None:
    """Change a document of a bundle and list its new hash, as whoever made the bundle could."""
    path = bundle / name
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    if name == "manifest.json":
        return
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["files"][name] = {"sha256": file_sha256(path), "bytes": path.stat().st_size}
    (bundle / "manifest.json").write_text(json.dumps(manifest))


@pytest.fixture
def bundle(tiny_bundle, tmp_path) -> Path:
    return shutil.copytree(tiny_bundle, tmp_path / "bundle")


def refused(bundle: Path, words: str) -> None:
    """Both ways in say the same, and at once."""
    started = time.monotonic()
    with pytest.raises(InputError) as error:
        load_model(bundle, device="cpu")
    assert words in str(error.value)
    told = CliRunner().invoke(cli, ["weights", "verify", str(bundle)])
    assert told.exit_code == 1
    assert words in str(told.exception)
    assert time.monotonic() - started < 10


def test_network_that_is_no_network_is_refused_and_not_called(bundle, tmp_path):
    mark = tmp_path / "code_ran"
    (bundle / "hubconf.py").write_text(f"open({str(mark)!r}, 'w').write('yes')\ndef m(**_): pass\n")

    def change(plans):
        plans["configurations"]["3d_fullres"]["architecture"] = {
            "network_class_name": "torch.hub.load",
            "_kw_requires_import": [],
            "arch_kwargs": {"repo_or_dir": str(bundle), "model": "m", "source": "local"},
        }

    changed(bundle, "plans.json", change)
    refused(bundle, "plans.json: network_class_name must be one of dynamic_network_architectures")
    assert not mark.exists()


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("conv_op", "os.system", "conv_op must be one of torch.nn.modules.conv.Conv2d"),
        ("norm_op", "subprocess.Popen", "norm_op must be one of"),
        ("nonlin", "builtins.exec", "nonlin must be one of"),
        ("nonlin", ["torch.nn.ReLU"], "nonlin must be one of"),
        ("nonlin_kwargs", {"inplace": "yes"}, "nonlin_kwargs must be an object of numbers"),
        ("norm_op_kwargs", {"device": "meta"}, "norm_op_kwargs must be an object of affine, eps"),
        ("n_stages", 10**11, "n_stages must be a whole number from 2 to 12"),
        ("n_stages", True, "n_stages must be a whole number"),
        ("features_per_stage", [4, 10**9], "features_per_stage must be a list of 2 whole numbers from 1 to 2048"),
        ("features_per_stage", [4], "features_per_stage must be a list of 2"),
        ("n_conv_per_stage", [1, 10**11], "n_conv_per_stage must be a list of 2 whole numbers from 1 to 32"),
        ("n_conv_per_stage_decoder", [10**11], "n_conv_per_stage_decoder must be a list of 1 whole numbers"),
        ("kernel_sizes", [[3, 3, 3], [3, 3, 999]], "kernel_sizes must be a list of 3 whole numbers from 1 to 11"),
        ("strides", [[1, 1, 1], [0, 2, 2]], "strides must be a list of 3 whole numbers from 1 to 8"),
        ("block", "os.system", "block must be left out, as the network has no such argument"),
    ],
)
def test_arguments_of_a_network_are_known_ones_of_possible_sizes(bundle, key, value, words):
    def change(plans):
        plans["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"][key] = value

    changed(bundle, "plans.json", change)
    refused(bundle, words)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("preprocessor_name", "Other", "preprocessor_name must be one of DefaultPreprocessor"),
        ("resampling_fn_data", "os.system", "resampling_fn_data must be one of resample_data_or_seg_to_shape"),
        (
            "resampling_fn_seg_kwargs",
            {"device": "cuda"},
            "resampling_fn_seg_kwargs must be an object of force",
        ),
        ("normalization_schemes", ["Other"], "normalization_schemes must be one of ZScoreNormalization"),
        ("patch_size", [8, 16, 10**9], "patch_size must be a list of 3 whole numbers from 1 to 4096"),
        ("patch_size", [1024, 1024, 1024], "patch_size must be such that 4 features of it fit into 2 GiB"),
        ("spacing", [3.0, 2.0, 1e-9], "spacing must be 0.05 to 50.0 mm"),
        ("inherits_from", "3d_fullres", "configuration must be another than what inherits from it"),
        ("inherits_from", "absent", "configuration must be one of 3d_fullres"),
    ],
)
def test_configuration_of_the_plans_is_a_known_one(bundle, key, value, words):
    changed(bundle, "plans.json", lambda plans: plans["configurations"]["3d_fullres"].update({key: value}))
    refused(bundle, words)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("label_manager", "os.system", "label_manager must be one of LabelManager"),
        ("transpose_forward", [0, 0, 1], "transpose_forward must be an order of the axes"),
    ],
)
def test_plans_name_what_nnunet_has(bundle, key, value, words):
    changed(bundle, "plans.json", lambda plans: plans.update({key: value}))
    refused(bundle, words)


def test_an_inherited_network_is_looked_at_too(bundle):
    def change(plans):
        own = plans["configurations"].pop("3d_fullres")
        own["architecture"]["network_class_name"] = "torch.hub.load"
        plans["configurations"] = {"base": own, "3d_fullres": {"inherits_from": "base"}}

    changed(bundle, "plans.json", change)
    refused(bundle, "network_class_name must be one of")


def test_dataset_has_one_channel_and_plain_labels(bundle):
    changed(bundle, "dataset.json", lambda dataset: dataset["labels"].update(vs=[1, 2]))
    refused(bundle, "dataset.json: vs must be a whole number from 0 to 255")


@pytest.mark.parametrize(
    ("generator", "words"),
    [
        ({"architecture": "unet", "blocks": 10**11}, "blocks of a unet must be a whole number up to 10"),
        ({"architecture": "resnet", "blocks": 10**11}, "blocks of a resnet must be a whole number up to 64"),
        ({"width": 10**9}, "width of a resnet must be a whole number up to 512"),
        ({"width": 4.5}, "width of a resnet must be a whole number up to 512"),
        ({"dropout": 7}, "dropout must be at least 0 and below 1"),
    ],
)
def test_generator_of_absurd_size_is_refused_at_once(bundle, generator, words):
    def change(manifest):
        manifest["networks"]["oneshot"]["translator"]["generator"].update(generator)

    changed(bundle, "manifest.json", change)
    refused(bundle, words)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("tile_step", 1e-9, "tile_step must be from 0.1 to 1"),
        ("mirror_axes", [0, 7], "mirror_axes must be a list of some of 0, 1 and 2"),
        ("tensors", ["segmenter"] * 1000, "tensors must be a list of 1 to 32"),
        ("tensors", "segmenter", "tensors must be a list of 1 to 32"),
        ("components", {"vs": {"most": 0}}, "most must be a whole number from 1 to 1000 or null, got 0"),
        ("components", {"vs": {"min_mm3": "all"}}, "min_mm3 must be a number of mm³, got 'all'"),
        ("components", {"vs": {"least": 1}}, "do not fit each other"),
        ("components", {"moon": {}}, "has the structures vs, cochlea, got 'moon'"),
        ("components", ["vs"], "do not fit each other"),
    ],
)
def test_settings_of_the_segmenter_are_possible_ones(bundle, key, value, words):
    def change(manifest):
        manifest["networks"]["oneshot"]["segmenter"][key] = value

    changed(bundle, "manifest.json", change)
    refused(bundle, words)


def test_region_of_absurd_size_is_refused(bundle):
    changed(bundle, "manifest.json", lambda manifest: manifest["preprocessing"].update(size_yx=[32, 4 * 10**9]))
    refused(bundle, "size_yx must be whole numbers up to 1024")


def test_networks_larger_than_their_tensors_are_never_built(bundle):
    def change(manifest):
        manifest["networks"]["oneshot"]["translator"]["generator"].update(width=512, blocks=64)

    changed(bundle, "manifest.json", change)
    with pytest.raises(InputError, match="translator does not fit the generator"):
        load_model(bundle, device="cpu")
