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

if __name__ == "__main__":
    if sys.argv[1] in ("evaluation", "dicom"):
        for module in EVALUATION if sys.argv[1] == "evaluation" else DICOM:
            importlib.import_module(module)
        sys.exit()
    for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        os.environ.setdefault(name, os.devnull)
    for module in INFERENCE:
        importlib.import_module(module)
    version = importlib.import_module("torch").__version__
    if not (2, 11) <= tuple(int(part) for part in version.split(".")[:2]) < (2, 14):
        raise SystemExit(f"torch is {version}, expected 2.11 to 2.13")
    print(f"torch {version}")
