import errno

import numpy as np
import pytest
import torch

from training.gan.checkpoint import TrainingState
from vestibule.errors import InputError


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


def test_state_of_another_version_is_refused_with_what_to_do(tmp_path):
    path = tmp_path / "state.pt"
    layer = torch.nn.Linear(1, 1)
    TrainingState(path, {"critic": layer}, np.random.default_rng(0)).save()
    with pytest.raises(InputError, match=r"state\.pt: lacks discriminator.*delete the file to start the stage over"):
        TrainingState(path, {"discriminator": layer}, np.random.default_rng(0)).resume()


def test_full_disk_is_named_and_leaves_the_state_before_it(tmp_path, monkeypatch):
    path = tmp_path / "state.pt"
    state = TrainingState(path, {}, np.random.default_rng(0))
    state.save()
    before = path.read_bytes()

    def fill_disk(content, target):
        target.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch, "save", fill_disk)
    with pytest.raises(InputError, match=r"state\.pt: cannot be written \(No space left on device\)"):
        state.save()
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["state.pt"]


def test_disk_that_is_full_by_the_last_bytes_is_named(tmp_path, monkeypatch):
    def stop_half_way(content, target):
        raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 261888 vs 261776")

    monkeypatch.setattr(torch, "save", stop_half_way)
    with pytest.raises(InputError, match=r"state\.pt: cannot be written \(PyTorch stopped half way, and the disk has"):
        TrainingState(tmp_path / "state.pt", {}, np.random.default_rng(0)).save()
    assert list(tmp_path.iterdir()) == []


def test_weight_with_another_bit_is_not_loaded(tmp_path):
    path = tmp_path / "state.pt"
    layer = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(layer.weight, 3.0)
    TrainingState(path, {"layer": layer}, np.random.default_rng(0)).save()
    three = np.float32(3.0).tobytes()
    content = path.read_bytes()
    assert content.count(three) == 1
    path.write_bytes(content.replace(three, np.float32(3.5).tobytes()))
    with pytest.raises(InputError, match=r"state\.pt: is cut short or damaged \(the checksum of .* delete it to start"):
        TrainingState(path, {"layer": layer}, np.random.default_rng(0)).resume()


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_state_that_was_cut_short_is_named_with_what_to_do(tmp_path, share):
    path = tmp_path / "state.pt"
    TrainingState(path, {"layer": torch.nn.Linear(40, 40)}, np.random.default_rng(0)).save()
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match=r"state\.pt: is cut short or damaged .*; delete it to start the stage over"):
        TrainingState(path, {"layer": torch.nn.Linear(40, 40)}, np.random.default_rng(0)).resume()
