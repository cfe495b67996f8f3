"""The formats that a bundle is exported to: a further format is a further row of `FORMATS`. Imports no torch."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vestibule.files import new_folder
from vestibule.weights import Bundle, open_bundle


@dataclass(frozen=True)
class Format:
    """What one other tool reads."""

    name: str
    title: str
    """What it is, in the words of the command line's help."""
    holds_all_arms: bool
    """Whether it takes every arm of a bundle where none is named; otherwise the default one alone."""
    entry: str
    """`module:function`, called with (bundle, arms, folder): writes into the folder, which is empty."""

    @property
    def write(self) -> Callable[[Bundle, list[str], Path], None]:
        """The function. Raises ModuleNotFoundError where a package is not installed that it needs."""
        module, _, function = self.entry.partition(":")
        return getattr(importlib.import_module(module), function)


_ROWS = (
    Format("nnunet", "the segmenter as a model folder of nnU-Net", False, "vestibule.exchange.nnunet:write"),
    Format("onnx", "all networks as ONNX files, and a script that runs them", True, "vestibule.exchange.onnx:write"),
    Format("monai", "the whole prediction of an arm as a bundle of MONAI", False, "vestibule.exchange.monai:write"),
    Format("hf", "the bundle with a model card of Hugging Face, ready to upload", True, "vestibule.exchange.hf:write"),
)
FORMATS = {row.name: row for row in _ROWS}
"""By the name that `--to` takes."""


def export(bundle_dir: Path, out: Path, form: Format, arm: str | None = None) -> list[str]:
    """Write a bundle in another format, whole or not at all.

    Args:
        bundle_dir: The bundle, which is verified first.
        out: The folder to write, which must not be there.
        form: A row of `FORMATS`.
        arm: The one arm to export; None: the default one, or all where the format holds several.

    Returns:
        The arms that were written.

    Raises:
        InputError: `out` is there, the bundle is missing, altered or lacks the arm, or the disk refuses.
        ModuleNotFoundError: A package is not installed that the format needs.
    """
    # Brings torch, which `--help` can do without.
    from vestibule.bundle_check import check_whole

    with new_folder(out) as folder:
        write = form.write
        bundle = open_bundle(bundle_dir)
        check_whole(bundle)
        arms = [bundle.arm(arm)]
        if arm is None and form.holds_all_arms:
            arms = list(bundle.manifest["arms"])
        write(bundle, arms, folder)
    return arms
