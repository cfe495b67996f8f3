from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from training.harmonisers.fitted import load_harmonisers
from training.stages import harmoniser
from vestibule.errors import InputError


def test_reference_and_what_the_harmoniser_makes_of_it_are_shown_on_a_sheet(config, run_dir):
    harmoniser.train(config, run_dir)
    assert (run_dir / "harmoniser" / "samples.png").stat().st_size > 1000


def test_every_reference_gets_a_harmoniser_of_its_own(config, run_dir, monkeypatch):
    harmoniser.train(config, run_dir)
    alone = load_file(run_dir / "harmoniser" / "cascade.safetensors")
    monkeypatch.setattr(harmoniser, "side_by_side", lambda function, jobs: [function(*job) for job in jobs])
    for path in (run_dir / "harmoniser" / "scales").glob("*.pt"):
        path.unlink()
    paths = harmoniser.train(replace(config, reference=replace(config.reference, count=2)), run_dir)
    (first, one), (second, other) = load_harmonisers(run_dir)
    assert len({path.parent for path in paths}) == 2
    assert one.case != other.case
    assert all(torch.equal(alone[name], value) for name, value in first.model.state_dict().items())
    assert not torch.equal(first.model.fixed_noise, second.model.fixed_noise)


def test_run_without_harmonisers_is_refused(run_dir):
    with pytest.raises(InputError, match="stage 'harmoniser' is not done"):
        load_harmonisers(run_dir)
