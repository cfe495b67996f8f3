"""Arrays of a run that are damaged are named with what to do, whatever NumPy makes of them."""

import numpy as np
import pytest

from training.data.arrays import read_array, read_arrays
from vestibule.errors import InputError


def damaged(path):
    """What a damaged .npy file may hold."""
    whole = path.read_bytes()
    yield b""
    yield whole[: len(whole) // 2]
    yield whole[:20]
    yield bytes(len(whole))
    # A header that is no dictionary, and one of Python's own objects.
    yield whole[:10] + b"(" * 60 + whole[70:]
    yield whole.replace(b"<f4", b"|O ")
    yield b"no array at all\n"


def test_damaged_arrays_are_named_with_what_to_do(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.ones((3, 4, 5), np.float32))
    assert read_array(path).shape == (3, 4, 5)
    for content in list(damaged(path)):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"a\.npy: .*make this stage of the run again"):
            read_array(path)


def test_damaged_files_of_several_arrays_are_named_with_what_to_do(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, image=np.ones((3, 4), np.float32))
    (image,) = read_arrays(path, "image")
    assert image.shape == (3, 4)
    with pytest.raises(InputError, match="tumour"):
        read_arrays(path, "image", "tumour")
    whole = path.read_bytes()
    for content in (b"", whole[:60], whole[:-30], whole.replace(b"NUMPY", b"NUMPX"), b"text\n"):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"a\.npz: .*make this stage of the run again"):
            read_arrays(path, "image")


def test_an_array_of_texts_is_refused(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.array(["a", "b"]))
    with pytest.raises(InputError, match="expected numbers"):
        read_array(path)


def test_several_arrays_under_the_name_of_one_are_refused(tmp_path):
    path = tmp_path / "a.npy"
    with path.open("wb") as stream:
        np.savez(stream, image=np.ones(3))
    with pytest.raises(InputError, match="several arrays"):
        read_array(path)
