"""The command lines of the tutorial on a submission, typed on phantoms in the challenge's layout."""

import re
import shlex
from dataclasses import asdict

import pytest
import yaml
from click.testing import CliRunner

from training.config import Pix2PixConfig, ReferenceConfig, RunConfig, SinGANConfig
from training.phantom.config import PhantomConfig
from training.phantom.population import make_population
from vestibule.cli import cli
from vestibule.networks import GeneratorConfig
from vestibule.preprocessing import PreprocessingConfig

FENCE = re.compile(r"^```bash\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ELSEWHERE = {"train run", "phantom"}
"""Walked by tests of their own: the chain of all stages, and the population."""


def command_lines(repository):
    text = (repository / "docs" / "tutorials" / "submission.md").read_text(encoding="utf-8")
    lines = [line for block in FENCE.findall(text) for line in block.splitlines()]
    return [line for line in lines if line.startswith("vestibule ")]


@pytest.fixture
def places(tmp_path):
    """What the names in the tutorial stand for: data, configuration, run; the edition is 2021."""
    folder = tmp_path / "download"
    make_population(
        folder, PhantomConfig(2, 1, shape_zyx=(12, 72, 72), spacing_zyx=(2.5, 2.0, 2.0), volume_mm3=(2000.0, 9800.0))
    )
    config = RunConfig(
        name="walk",
        intended_use="challenge",
        edition=2021,
        prepare=PreprocessingConfig((2.0, 2.0), (64, 64)),
        pix2pix=Pix2PixConfig(GeneratorConfig("resnet", width=4, blocks=1)),
        reference=ReferenceConfig(crop_px=32, min_tumour_px=1),
        harmoniser=SinGANConfig(coarsest_px=16, scale_factor=0.5, width=4, layers=3, iterations=2),
    )
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(_plain(asdict(config))), encoding="utf-8")
    return {"FOLDER": folder, "configs/mine.yaml": tmp_path / "mine.yaml", "runs/x": tmp_path / "run"}


def test_commands_of_the_tutorial_lead_from_a_download_to_checked_masks(
    repository, places, tiny_bundle, tmp_path, caplog
):
    names = {
        "runs/x/export/bundle": tiny_bundle,
        **places,
        "masks/": tmp_path / "masks",
        "scores/": tmp_path / "scores",
    }
    walked = {}
    for line in command_lines(repository):
        for name, place in names.items():
            line = line.replace(name, str(place))
        words = shlex.split(line)[1:]
        step = " ".join(words[:2]) if words[0] in ("train", "weights") else words[0]
        if step in ELSEWHERE:
            continue
        result = CliRunner().invoke(cli, words)
        assert result.exit_code == 0, f"{line}: {result.output} {result.exception!r}"
        walked[step] = result.output
    assert list(walked) == ["train prepare", "train harmoniser", "weights show", "predict", "check", "evaluate"]
    assert "source  ldn" in walked["train prepare"]
    assert "was made by this toolkit" in caplog.text
    assert (places["runs/x"] / "harmoniser" / "samples.png").is_file()
    assert len(list((tmp_path / "masks").iterdir())) == 1


def _plain(value):
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
