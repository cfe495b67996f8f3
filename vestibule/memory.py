"""What libraries raise where memory does not suffice, told in one line: the GPU's memory, or the machine's."""

from __future__ import annotations

import re

GPU_ADVICE = "free it, take a smaller batch or patch, or run on the CPU"
MACHINE_ADVICE = "use fewer --workers where there are some, or a machine with more of it"
_WANTED = re.compile(r"[Tt]ried to allocate ([0-9.]+ (?:[KMGT]iB|bytes))")


def memory_shortage(error: BaseException) -> str | None:
    """Say what was lacking.

    PyTorch has an error of its own for a GPU, and a `RuntimeError` like any other for the driver and for the machine;
    so they are told by what they say, and PyTorch need not be there.

    Args:
        error: What was raised.

    Returns:
        What was lacking and what to do; None where memory was not.
    """
    text = str(error)
    wanted = _WANTED.search(text)
    amount = f" ({wanted[1]} were asked for)" if wanted else ""
    if isinstance(error, MemoryError):
        cause = f" ({text})" if text else ""
        return f"out of memory{cause}; {MACHINE_ADVICE}"
    if not isinstance(error, RuntimeError):
        return None
    if "allocate memory" in text:
        return f"out of memory{amount}; {MACHINE_ADVICE}"
    if "out of memory" in text.lower():
        return f"the GPU is out of memory{amount}; {GPU_ADVICE}"
    return None
