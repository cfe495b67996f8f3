"""The study of phantoms that no choice was made on."""

import csv
import re

import pytest

from training.config import read_config
from vestibule.errors import InputError


@pytest.fixture
def runs(repository, tmp_path):
    """A folder of two finished runs that hold the repository's weights."""
    root = tmp_path / "runs"
    for line in ("baseline", "other"):
        export = root / "seed_0" / line / "export"
        export.mkdir(parents=True)
        (export / "bundle").symlink_to(repository / "weights" / "phantom")
    return root


def test_bundles_of_all_runs_are_scored_on_new_phantoms_once(study, repository, runs, tmp_path, monkeypatch, capsys):
    text = (repository / "configs" / "phantom.yaml").read_text()
    text = text.replace("[28, 128, 128]", "[12, 72, 72]").replace("[1.5, 1.2, 1.2]", "[2.5, 2.0, 2.0]")
    config, out = tmp_path / "small.yaml", tmp_path / "out"
    config.write_text(text)
    held_back = study("held_back")
    words = ["held_back.py", str(runs), "--config", str(config), "--out", str(out), "--seed", "7", "--cases", "2"]
    monkeypatch.setattr("sys.argv", words)
    held_back.main()
    printed = capsys.readouterr().out
    assert re.search(r"^\| other +\| 1 +\|", printed, re.MULTILINE)
    assert "2 unseen T2" in printed
    assert "minutes" not in printed.lower()
    for line in ("baseline", "other"):
        (table,) = (out / "seed_0" / line / "scores").glob("*/cases.csv")
        with table.open(newline="") as stream:
            assert len({row["case"] for row in csv.DictReader(stream)}) == 2

    monkeypatch.setattr(held_back, "score_model", None)
    held_back.main()
    assert "2 unseen T2" in capsys.readouterr().out


def test_phantoms_that_are_not_held_back_and_folders_without_runs_are_refused(study, repository, tmp_path):
    held_back = study("held_back")
    config = read_config(repository / "configs" / "phantom.yaml")
    with pytest.raises(InputError, match="seed 0 is that of phantom: its phantoms are not held back"):
        held_back.held_back(config, 0, 2)
    challenge = read_config(repository / "configs" / "crossmoda2021.yaml")
    with pytest.raises(InputError, match="crossmoda2021: held-back phantoms need a configuration that makes phantoms"):
        held_back.held_back(challenge, 7, 2)
    with pytest.raises(InputError, match="holds no finished run"):
        held_back.runs_of(tmp_path)
