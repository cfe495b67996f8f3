"""T1 on the working grid -> class probabilities: nnU-Net's network and sliding window in process, no worker pools."""

from __future__ import annotations

import contextlib
import io
import os

import numpy as np
import torch

# nnU-Net warns at import where these are unset; inference needs none of the folders.
for _name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
    os.environ.setdefault(_name, os.devnull)
# It starts its process pools by this number; a sandbox with little shared memory has no room for them.
os.environ.setdefault("nnUNet_def_n_proc", "1")

from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager


class Segmenter:
    """An nnU-Net, ready to predict. Isensee et al. 2021."""

    def __init__(
        self,
        plans: dict,
        dataset: dict,
        configuration: str,
        parameters: list[dict[str, torch.Tensor]],
        device: torch.device,
        mirror_axes: tuple[int, ...] = (),
        tile_step: float = 0.5,
    ) -> None:
        """`plans` and `dataset` as nnU-Net writes them; `parameters`: one state dict a fold, averaged at prediction."""
        manager = PlansManager(plans)
        chosen = manager.get_configuration(configuration)
        network = nnUNetTrainer.build_network_architecture(
            manager,
            chosen,
            determine_num_input_channels(manager, chosen, dataset),
            manager.get_label_manager(dataset).num_segmentation_heads,
            enable_deep_supervision=False,
        ).to(device)
        network.load_state_dict(parameters[0])
        with contextlib.redirect_stdout(io.StringIO()):
            self._predictor = nnUNetPredictor(
                tile_step_size=tile_step, use_mirroring=bool(mirror_axes), device=device, allow_tqdm=False
            )
            self._predictor.manual_initialization(
                network, manager, chosen, parameters, dataset, "nnUNetTrainer", mirror_axes or None
            )

    def probabilities(self, t1_unit: np.ndarray, spacing_zyx: tuple[float, float, float]) -> np.ndarray:
        """Class probabilities float32 (C, Z, Y, X) of `t1_unit` (Z, Y, X) with voxels of `spacing_zyx` mm."""
        properties = {"spacing": list(spacing_zyx)}
        with contextlib.redirect_stdout(io.StringIO()):
            _, probabilities = self._predictor.predict_single_npy_array(
                t1_unit[None].astype(np.float32), properties, save_or_return_probabilities=True
            )
        return np.asarray(probabilities, dtype=np.float32)
