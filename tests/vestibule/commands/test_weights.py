import json
import shutil

import pytest
from click.testing import CliRunner

from vestibule.commands.weights import weights


@pytest.mark.parametrize(
    ("use", "provenance", "words"),
    [
        ("phantom", {}, "no entry to a challenge: trained on phantoms alone"),
        ("challenge", {}, "kept: no data from outside the challenge"),
        (
            "challenge",
            {"extra_annotation": True, "remarks": ["1 T2 training images have labels, such as x"]},
            "broken: used annotation that is not the challenge's (1 T2 training images have labels, such as x)",
        ),
    ],
)
def test_show_says_whether_a_bundle_may_enter_the_challenge(tiny_bundle, tmp_path, use, provenance, words):
    bundle = shutil.copytree(tiny_bundle, tmp_path / "bundle")
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["intended_use"] = use
    manifest["provenance"] |= provenance
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    out = CliRunner().invoke(weights, ["show", str(bundle)], env={"COLUMNS": "200"}).output
    assert words in " ".join(out.replace("│", " ").split())
