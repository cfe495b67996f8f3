import pytest
import torch

from vestibule import weights
from vestibule.errors import InputError
from vestibule.finite import require_finite
from vestibule.weights import open_bundle, write_bundle

BROKEN = {"bias": torch.ones(2), "weight": torch.tensor([1.0, float("nan"), float("-inf"), 2.0])}


def test_first_tensor_that_is_not_finite_is_named_with_its_count():
    with pytest.raises(InputError, match="here: 2 of 4 values of the tensor weight are not finite"):
        require_finite(BROKEN, "here")
    require_finite({"half": torch.ones(2, dtype=torch.bfloat16), "steps": torch.tensor(4)}, "here")


def test_bundle_of_a_training_that_diverged_is_neither_written_nor_loaded(tiny_bundle, tmp_path, monkeypatch):
    manifest = open_bundle(tiny_bundle).manifest
    with pytest.raises(InputError, match=r"oneshot\.safetensors: 2 of 4 values of the tensor weight"):
        write_bundle(tmp_path / "new", manifest, {"oneshot": BROKEN}, {}, {})
    assert list(tmp_path.iterdir()) == []

    # As a version that did not look has written it.
    monkeypatch.setattr(weights, "require_finite", lambda *_: None)
    bundle = write_bundle(tmp_path / "old", manifest, {"oneshot": BROKEN}, {}, {})
    monkeypatch.undo()
    with pytest.raises(InputError, match=r"oneshot\.safetensors: 2 of 4 values of the tensor weight"):
        bundle.tensors("oneshot")
