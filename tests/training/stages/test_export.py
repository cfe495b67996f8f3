import json
from dataclasses import replace

import pytest
import torch

from training.stages.export import NOTICES, model_card, publish
from vestibule.errors import InputError
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


def test_every_intended_use_has_a_notice(config):
    assert {replace(config, intended_use=use).intended_use for use in NOTICES} == {"phantom", "challenge"}
