"""Memory that does not suffice, the GPU's or the machine's, is one clear line wherever it ends."""

import click
import pytest
import torch

from vestibule.cli import main
from vestibule.editions import get_edition
from vestibule.inputs import Case
from vestibule.memory import memory_shortage
from vestibule.predict import predict_cases
from vestibule.serve import _attempt
from vestibule.volume import Geometry, Volume, read_volume, write_volume

OF_GPU = "CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total capacity of 10 GiB of which 1 GiB is free."
ON_GPU = "the GPU is out of memory (2.50 GiB were asked for); free it, take a smaller batch or patch, or run on the CPU"
ERRORS = {
    "PyTorch's own": (torch.OutOfMemoryError(OF_GPU), ON_GPU),
    "the driver's": (RuntimeError("CUDA error: out of memory\nCompile with ..."), "the GPU is out of memory; free it"),
    "the machine's, by PyTorch": (
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 400 bytes. Error code 12"),
        "out of memory (400 bytes were asked for); use fewer --workers",
    ),
    "the machine's, by NumPy": (MemoryError("Unable to allocate 3 GiB"), "out of memory (Unable to allocate 3 GiB)"),
    "the machine's, by Python": (MemoryError(), "out of memory; use fewer --workers"),
}


@pytest.mark.parametrize(("error", "line"), ERRORS.values(), ids=ERRORS)
def test_what_was_lacking_is_told_and_how_much(error, line):
    assert memory_shortage(error).startswith(line)


@pytest.mark.parametrize("error", [RuntimeError("size mismatch"), ValueError("out of memory"), OSError("no space")])
def test_other_errors_are_not_taken_for_it(error):
    assert memory_shortage(error) is None


@pytest.mark.parametrize(("error", "line"), ERRORS.values(), ids=ERRORS)
def test_a_command_ends_in_that_line(error, line, monkeypatch, capsys):
    @click.command()
    def command():
        raise error

    monkeypatch.setattr("sys.argv", ["vestibule"])
    with pytest.raises(SystemExit) as stop:
        main(command)
    assert stop.value.code == 1
    (last,) = capsys.readouterr().err.splitlines()
    assert last.startswith(f"vestibule: error: {line}")


def test_an_image_that_the_gpu_cannot_hold_costs_no_other_its_mask(tmp_path):
    geometry = Geometry((4, 16, 16), (9.0, 3.0, 3.0), (0.0, 0.0, 0.0), (1.0, 0, 0, 0, 1, 0, 0, 0, 1))
    cases = []
    for name in ("a", "b"):
        image = Volume(torch.arange(1024).reshape(4, 16, 16).numpy().astype("int16"), geometry)
        write_volume(tmp_path / f"{name}_T2.nii.gz", image)
        cases.append(Case(name, tmp_path / f"{name}_T2.nii.gz", tmp_path / f"out/{name}_Label.nii.gz"))
    errors = [torch.OutOfMemoryError(OF_GPU), None]

    def run(volume):
        error = errors.pop(0)
        if error:
            raise error
        return volume.with_voxels((volume.voxels > 500).astype("uint8"))

    outcome = predict_cases(run, cases, get_edition(2021))
    ((_, failure),) = outcome.failures
    assert failure == f"{cases[0].image_path}: segmentation failed ({ON_GPU})"
    assert read_volume(cases[1].mask_path).voxels.any()


def test_a_server_answers_with_it_and_goes_on():
    jobs = iter([torch.OutOfMemoryError(OF_GPU), None])

    def invoke():
        error = next(jobs)
        if error:
            raise error

    assert _attempt(invoke) == ON_GPU
    assert _attempt(invoke) is None
