import json
from dataclasses import asdict, replace
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file

from training.arms import ARMS
from training.stages.export import NOTICES, export, publish
from training.stages.model_card import model_card
from vestibule.errors import InputError
from vestibule.files import write_json
from vestibule.weights import open_bundle, write_bundle

SCORES = {
    "arms": {
        "oneshot": {
            "vs": {
                "dice": {"mean": 0.5, "std": 0.25, "median": 0.625, "over_0_8": 3},
                "assd_mm": {"mean": 1.5, "std": 0.5, "median": 1.25},
            }
        }
    }
}


@pytest.fixture
def run_with_bundle(tmp_path, tiny_bundle):
    bundle = open_bundle(tiny_bundle)
    provenance = {"training_data": "phantoms made by this toolkit", "external_data": False, "pretrained": False}
    manifest = {**bundle.manifest, "provenance": provenance, "scores": {}}
    path = tmp_path / "run" / "export" / "bundle"
    write_bundle(path, manifest, {"weights": {"a": torch.arange(3.0)}}, {"plans": {"b": 1}}, {"MODEL_CARD.md": "x"})
    return tmp_path / "run"


def test_published_bundle_holds_scores_in_manifest_and_card(run_with_bundle, tmp_path):
    (tmp_path / "table1.json").write_text(json.dumps(SCORES))
    publish(run_with_bundle, tmp_path / "table1.json", 16, tmp_path / "out")
    bundle = open_bundle(tmp_path / "out")
    assert bundle.manifest["scores"]["arms"] == SCORES["arms"]
    assert bundle.tensors("weights")["a"].tolist() == [0.0, 1.0, 2.0]
    assert bundle.document("plans") == {"b": 1}
    card = (tmp_path / "out" / "MODEL_CARD.md").read_text()
    assert "On 16 unseen cases" in card
    assert "| oneshot | vs | 0.500 ± 0.250 (0.625) | 1.50 ± 0.50 (1.25) | 3 |" in card


def test_missing_scores_are_named(run_with_bundle, tmp_path):
    with pytest.raises(InputError, match=r"absent\.json: holds no scores"):
        publish(run_with_bundle, tmp_path / "absent.json", 16, tmp_path / "out")


@pytest.mark.parametrize("use", ["phantom", "challenge"])
def test_card_says_what_the_weights_are_not_for(run_with_bundle, use):
    manifest = open_bundle(run_with_bundle / "export" / "bundle").manifest
    card = model_card({**manifest, "intended_use": use, "notice": NOTICES[use]})
    assert NOTICES[use] in card
    assert "Not for diagnosis" in card
    assert ("images of people" in card) == (use == "phantom")


@pytest.mark.parametrize(
    ("arms", "sources", "absent"),
    [
        (["baseline", "oneshot"], ["ORASIS 2021", "Zhu et al., ICCV 2017"], "tumour blending"),
        (["baseline", "blending"], ["et al., crossMoDA 2022", "Zhu et al., ICCV 2017"], "one-shot tumour synthesis"),
        (["supervised"], ["Isensee et al., Nature Methods 2021"], "ORASIS"),
    ],
)
def test_card_tells_of_the_bundles_own_arms_with_their_papers(run_with_bundle, arms, sources, absent):
    manifest = open_bundle(run_with_bundle / "export" / "bundle").manifest
    card = model_card({**manifest, "arms": arms, "default_arm": arms[-1]})
    for arm in arms:
        assert f"- Arm `{arm}`: {ARMS[arm].card}" in card
    assert all(source in card for source in sources)
    assert absent not in card


def finish_networks(config, run_dir):
    """What the stages of `config`'s arms would leave for the export: tiny tensors and documents."""
    for arm in config.arms:
        row = ARMS[arm]
        folder = row.segmenter.folder(run_dir)
        folder.mkdir(parents=True, exist_ok=True)
        for fold in config.segmenter.folds:
            save_file({"w": torch.ones(1)}, folder / f"fold_{fold}.safetensors")
        for name in ("plans", "dataset"):
            write_json(folder / f"{name}.json", {"of": arm})
        if row.translator:
            folder = row.translator.stage.folder(run_dir)
            folder.mkdir(parents=True, exist_ok=True)
            save_file({"of": torch.ones(1)}, folder / f"{row.translator.file}.safetensors")


def test_card_tells_of_self_training_where_an_arm_has_it(run_with_bundle):
    manifest = open_bundle(run_with_bundle / "export" / "bundle").manifest
    manifest["arms"] = ["direct", "blending"]
    assert "its own masks of real T2." not in card_line(manifest, "direct")
    settings = {"stages": ["direct_segmenter"], "rounds": 2}
    manifest["provenance"]["config"] = {"self_training": settings}
    told = card_line(manifest, "direct")
    assert "trained in 3 rounds on its own masks of real T2. Of these, those were kept that agreed with" in told
    assert told.endswith("and that a patient could have.")
    assert "rounds" not in card_line(manifest, "blending")
    settings |= {"rounds": 0, "min_agreement": 0.0, "anatomy": False, "fit_cochleae": True}
    told = card_line(manifest, "direct")
    assert "trained once on its own masks of real T2. Their cochleae were given the shape" in told

    assert "took in" not in told
    settings["fit_tumours"] = True
    assert "Their tumours took in what lies beside them" in card_line(manifest, "direct")
    assert "contrast" not in told
    manifest["provenance"]["config"]["local_contrast"] = {"stages": ["direct_segmenter"]}
    assert "tumours and cochleae had random contrast. Its nnU-Net was trained once" in card_line(manifest, "direct")
    assert "random contrast" not in card_line(manifest, "blending")


def card_line(manifest, arm):
    (line,) = [line for line in model_card(manifest).splitlines() if line.startswith(f"- Arm `{arm}`")]
    return line


@pytest.mark.parametrize(
    ("arms", "named", "expected"),
    [
        (("baseline", "blending"), None, "blending"),
        (("oneshot", "supervised"), None, "oneshot"),
        (("baseline", "oneshot"), "baseline", "baseline"),
    ],
)
def test_bundle_predicts_by_the_named_arm_or_the_last_that_is_a_method(config, tmp_path, arms, named, expected):
    config = replace(config, arms=arms, default_arm=named)
    finish_networks(config, tmp_path)
    export(config, tmp_path)
    bundle = open_bundle(tmp_path / "export" / "bundle")
    assert bundle.arm() == expected
    assert list(bundle.manifest["networks"]) == list(arms)


def test_arm_that_the_table_does_not_have_is_not_exported(config, tmp_path):
    unforeseen = SimpleNamespace(**{**asdict(config), "arms": ("oneshut",)})
    with pytest.raises(InputError, match="'oneshut' is none of baseline, oneshot"):
        export(unforeseen, tmp_path)


def test_every_intended_use_has_a_notice(config):
    assert {replace(config, intended_use=use).intended_use for use in NOTICES} == {"phantom", "challenge"}
