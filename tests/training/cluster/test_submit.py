"""The command `vestibule train submit`."""

import pytest
from click.testing import CliRunner

from training.cluster import runs
from training.commands.train import train
from vestibule.errors import InputError


def test_folders_of_the_data_are_named_as_for_a_run(monkeypatch, tmp_path):
    told = []

    def refuse(runs, data, folders):
        told.append((data, folders))
        raise InputError("enough")

    monkeypatch.setattr(runs, "make_ready", refuse)
    command = ["submit", "--config", "phantom", "--run", str(tmp_path / "run"), "--data", str(tmp_path)]
    folders = ["--folder", "source=T1", "--folder", "target=T2"]
    with pytest.raises(InputError, match="enough"):
        CliRunner().invoke(train, [*command, *folders], catch_exceptions=False)
    assert told == [(tmp_path, {"source": "T1", "target": "T2"})]
    refused = CliRunner().invoke(train, [*command, "--folder", "masks=x"])
    assert refused.exit_code == 2
    assert "expected source=NAME or target=NAME" in refused.output
