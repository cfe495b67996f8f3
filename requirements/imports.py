"""What a run of the container imports from outside, imported once: fails the build early and leaves its bytecode."""

import importlib
import os
import sys

EVALUATION = (
    *("click", "isal.igzip", "nibabel", "numpy", "rich.console", "rich.progress", "rich.table"),
    *("scipy.ndimage", "scipy.spatial", "scipy.stats", "SimpleITK"),
)
DICOM = ("contourpy", "highdicom", "pydicom", "jpeg_ls", "rich.console", "rich.progress", "rich.table")
INFERENCE = (
    "click",
    "isal.igzip",
    "nibabel",
    "numpy",
    "safetensors.torch",
    "scipy.ndimage",
    "SimpleITK",
    "torch",
    "dynamic_network_architectures.architectures.unet",
    "nnunetv2.inference.predict_from_raw_data",
    "nnunetv2.utilities.get_network_from_plans",
    "evalutils",
)

OLDEST_TORCH, BELOW_TORCH = (2, 7), (2, 14)
"""The versions that predict: from the first, and below the second."""


def check_torch() -> None:
    """Print what torch is built for. Raises SystemExit where it is too old or too new."""
    import torch

    words = torch.__version__.split(".")
    version = tuple(int(word) for word in words[:2])
    if not OLDEST_TORCH <= version < BELOW_TORCH:
        raise SystemExit(f"torch is {torch.__version__}, expected 2.7 to 2.13")
    cuda = torch.version.cuda
    if cuda is None:
        print(f"torch {torch.__version__}, built for the CPU alone")
        return
    # torch.cuda.get_arch_list() tells them only where there is a GPU.
    print(f"torch {torch.__version__}, CUDA {cuda}, built for {torch._C._cuda_getArchFlags()}")


def main(name: str) -> None:
    """Import all that a run of an image imports.

    Args:
        name: inference, evaluation or dicom.
    """
    if name == "inference":
        # nnU-Net reads these as it is imported.
        for variable in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
            os.environ.setdefault(variable, os.devnull)
    modules = {"inference": INFERENCE, "evaluation": EVALUATION, "dicom": DICOM}
    for module in modules[name]:
        importlib.import_module(module)
    if name == "inference":
        check_torch()


if __name__ == "__main__":
    main(sys.argv[1])
