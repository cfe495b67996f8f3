"""The study of the claim: what it trains, what it does not train twice, and the section that it writes."""

import sys

import pytest
import torch
from safetensors.torch import save_file

from training.config import read_config
from training.stages import segmenter
from vestibule.files import write_json


@pytest.fixture
def tiny(study, repository):
    return study("claim").published(read_config(repository / "configs" / "phantom.yaml"), "tiny")


def rows(*dice, assd_mm=1.0):
    """Rows of scores of as many cases, with the same for both structures."""
    found = []
    for number, value in enumerate(dice):
        for structure in ("vs", "cochlea"):
            scores = {"dice": value, "assd_mm": assd_mm, "reference_volume_mm3": 1000.0}
            found.append({"case": f"case_{number}", "structure": structure, **scores})
    return found


def run(*dice, contrast=1.0, assd_mm=1.0):
    return {"rows": rows(*dice, assd_mm=assd_mm), "contrast": contrast}


@pytest.mark.parametrize("size", ["tiny", "small", "full"])
def test_setting_is_the_papers_at_every_size(study, repository, size):
    config = study("claim").published(read_config(repository / "configs" / "phantom.yaml"), size)
    assert config.cyclegan.generator.architecture == config.pix2pix.generator.architecture == "resnet"
    transfer = config.transfer
    assert (transfer.intensity, transfer.rim_px, transfer.level) == ("none", 0.0, None)
    assert config.reference.crop_px is None


def choice(study, config, out, kind, level):
    folder = study("claim").fitted_folder(out, config, kind)
    folder.mkdir(parents=True)
    write_json(folder / "choice.json", {"made_from": {}, "found": {"chosen": level}})


def test_chosen_scale_is_not_trained_twice_and_comes_before_the_others(study, tiny, tmp_path):
    claim = study("claim")
    choice(study, tiny, tmp_path, "singan", 2)
    choice(study, tiny, tmp_path, "gpdm", None)
    names = [filling.name for filling in claim.fillings(tiny, tmp_path, ["naive", "singan", "gpdm"])]
    assert names == ["naive", "singan_2", "singan_1"]


def test_section_has_differences_to_the_naive_copy_no_copy_and_the_baseline(study):
    found = {
        "baseline": {(0, 0): run(0.3, 0.3, contrast=None), (0, 1): run(0.3, 0.3, contrast=None)},
        "none": {(0, 0): run(0.4, 0.4), (0, 1): run(0.4, 0.4)},
        "naive": {(0, 0): run(0.1, 0.1, assd_mm=5.1), (0, 1): run(0.1, 0.1)},
        "singan, chosen level": {(0, 0): run(0.5, 0.9, contrast=-0.25)},
        "singan, n* = 1": {(0, 0): run(0.5, 0.9)},
        "singan, n* = 2": {(0, 0): run(0.6, 1.0)},
    }
    text = "\n".join(study("claim_report").report(found, {"singan": {0: 1}, "gpdm": {}}))
    assert "| naive | 2 | +1.00 | 0.10 ± 0.00 (0.10) | 0 | 2 |" in text
    line = "| singan, chosen level | 1 | -0.25 | 0.70 ± 0.28 (0.70) | 1 | 0 | 1.00 ± 0.00 (1.00) |"
    assert f"{line} +0.600 (+0.400 to +0.800) | +0.300 (+0.100 to +0.500) | +0.400 (+0.200 to +0.600) |" in text
    assert "chooses for `singan`: 1 in seed 0" in text
    assert "chooses for `gpdm`" not in text  # it is not fitted yet
    assert "less the best that was trained (singan, n* = 2): -0.100 (-0.100 to -0.100)" in text


def test_runs_without_a_partner_are_not_compared(study):
    assert study("claim_report").difference({(0, 0): run(0.1)}, {(1, 0): run(0.2)}) == ""


def fake_segmenter(config, run_dir):
    """Leaves what export needs; nnU-Net itself takes longer than all other stages together."""
    folder = run_dir / "segmenter"
    paths = [folder / name for name in ("fold_all.safetensors", "plans.json", "dataset.json")]
    save_file({"w": torch.ones(1)}, paths[0])
    for path in paths[1:]:
        write_json(path, {})
    return paths


def test_study_goes_through_resumes_and_tells_what_is_finished(study, repository, monkeypatch, tmp_path, capsys):
    claim = study("claim")
    monkeypatch.setattr(segmenter, "train", fake_segmenter)
    scored = []

    def score(run_dir, arm, edition):
        scored.append((run_dir.name, arm))
        return rows(0.2 if arm == "baseline" else 0.4)

    monkeypatch.setattr(claim, "score_arm", score)
    config = str(repository / "configs" / "phantom.yaml")
    command = ["claim.py", "--config", config, "--out", str(tmp_path), "--size", "tiny", "--seeds", "1"]
    command += ["--only", "none", "--only", "gpdm"]
    monkeypatch.setattr(sys, "argv", command)
    claim.main()
    section = (tmp_path / "results.md").read_text()
    assert "| baseline | 1 |" in section
    assert "| gpdm, chosen level | 1 |" in section
    # Both runs, and the baseline once.
    assert [arm for _, arm in scored] == ["oneshot", "baseline", "oneshot"]

    capsys.readouterr()
    claim.main()
    told = capsys.readouterr().out
    assert ": done in " not in told
    assert len(scored) == 3

    monkeypatch.setattr(sys, "argv", [*command, "--finished"])
    claim.main()
    assert len(scored) == 3
    lines = section.splitlines()
    again = (tmp_path / "results.md").read_text().splitlines()
    assert [line for line in again if line.startswith("|")] == [line for line in lines if line.startswith("|")]


def test_nothing_finished_is_said(study, repository, monkeypatch, tmp_path):
    config = str(repository / "configs" / "phantom.yaml")
    monkeypatch.setattr(sys, "argv", ["claim.py", "--config", config, "--out", str(tmp_path), "--finished"])
    with pytest.raises(SystemExit, match="no run is finished; leave out --finished"):
        study("claim").main()
