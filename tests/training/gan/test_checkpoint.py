import numpy as np
import torch

from training.gan.checkpoint import TrainingState


def test_random_numbers_go_on_where_the_state_was_saved(tmp_path):
    torch.manual_seed(0)
    state = TrainingState(tmp_path / "state.pt", {}, np.random.default_rng(0))
    state.save()
    drawn = torch.rand(3), state.generator.random(3)
    again = TrainingState(tmp_path / "state.pt", {}, np.random.default_rng(1))
    assert again.resume()
    assert torch.equal(torch.rand(3), drawn[0])
    assert np.array_equal(again.generator.random(3), drawn[1])


def test_generator_of_a_gpu_is_saved_and_set_as_well(tmp_path, monkeypatch):
    # Dropout and SinGAN's noise are drawn there. No GPU is needed to see that its state goes the whole way.
    found = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda: torch.tensor([7], dtype=torch.uint8))
    monkeypatch.setattr(torch.cuda, "set_rng_state", found.append)
    TrainingState(tmp_path / "state.pt", {}, np.random.default_rng(0)).save()
    assert TrainingState(tmp_path / "state.pt", {}, np.random.default_rng(0)).resume()
    assert [state.tolist() for state in found] == [[7]]


def test_state_of_a_machine_without_a_gpu_is_resumed_on_one_with(tmp_path, monkeypatch):
    TrainingState(tmp_path / "state.pt", {}, np.random.default_rng(0)).save()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state: None)
    assert TrainingState(tmp_path / "state.pt", {}, np.random.default_rng(0)).resume()
