import json
import shutil

import pytest
from huggingface_hub import ModelCard

from vestibule.exchange.formats import FORMATS, export
from vestibule.weights import open_bundle


def test_the_card_s_metadata_are_read_by_huggingface(exported):
    card = ModelCard.load(exported("hf") / "README.md")
    assert card.data.license == "apache-2.0"
    assert card.data.pipeline_tag == "image-segmentation"
    assert "crossmoda2021" in card.data.tags
    scores = {result.metric_name: result.metric_value for result in card.data.eval_results}
    assert round(scores["mean Dice, cochlea, arm oneshot"], 3) == 0.649
    assert "phantoms only, not for patients" in card.text
    assert "Not a medical device" in card.text


def test_the_folder_is_a_bundle_that_verifies(exported, run):
    folder = exported("hf")
    code, out, _ = run("weights", "verify", folder)
    assert (code, "not in the manifest" in out) == (0, False)
    assert {path.suffix for path in folder.iterdir()} == {".safetensors", ".json", ".md"}


def test_one_arm_alone_brings_its_own_files_alone(phantom_weights, tmp_path):
    assert export(phantom_weights, tmp_path / "out", FORMATS["hf"], "baseline") == ["baseline"]
    bundle = open_bundle(tmp_path / "out")
    assert bundle.arm() == "baseline"
    assert "translator_oneshot.safetensors" not in bundle.manifest["files"]


def test_weights_of_the_challenge_have_the_terms_of_its_data(tiny_bundle, tmp_path):
    bundle = shutil.copytree(tiny_bundle, tmp_path / "bundle")
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["intended_use"] = "challenge"
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    export(bundle, tmp_path / "out", FORMATS["hf"])
    card = ModelCard.load(tmp_path / "out" / "README.md")
    assert (card.data.license, card.data.license_link) == ("other", "LICENSE.md")
    assert "forbid commercial use" in (tmp_path / "out" / "LICENSE.md").read_text()
    # The bundle's own page is the card's.
    assert "Random weights." in card.text


@pytest.mark.parametrize("name", ["a: b\n---\nlicense: mit", "{x}", "- y"])
def test_a_name_cannot_become_metadata(tiny_bundle, tmp_path, name):
    bundle = shutil.copytree(tiny_bundle, tmp_path / "bundle")
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest |= {"name": name, "intended_use": "phantom"}
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    export(bundle, tmp_path / "out", FORMATS["hf"])
    card = ModelCard.load(tmp_path / "out" / "README.md")
    assert card.data.license == "apache-2.0"
