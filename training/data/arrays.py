"""Arrays from NumPy's files: the one place where a run reads its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vestibule.errors import InputError


def read_array(path: Path) -> np.ndarray:
    """The array of an .npy file, memory-mapped. Raises InputError where it is damaged or missing."""
    try:
        array = np.load(path, mmap_mode="r")
    except Exception as error:  # NumPy reads a header as Python, and raises whatever Python does.
        raise _damaged(path, error) from error
    # A zip by its first bytes, whatever it is called.
    if not isinstance(array, np.ndarray):
        raise InputError(f"{path}: holds several arrays, expected one; make this stage of the run again")
    if array.dtype.kind not in "fiub":
        raise InputError(f"{path}: holds {array.dtype}, expected numbers; make this stage of the run again")
    return array


def read_arrays(path: Path, *names: str) -> list[np.ndarray]:
    """The arrays called `names` of an .npz file. Raises InputError where it is damaged or missing, or lacks one."""
    try:
        with np.load(path) as arrays:
            return [arrays[name] for name in names]
    except Exception as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: BaseException) -> InputError:
    cause = (str(error).splitlines() or [type(error).__name__])[0]
    return InputError(f"{path}: cut short or damaged ({cause:.80}); make this stage of the run again")
