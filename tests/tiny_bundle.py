"""A whole bundle of weights for tests, the smallest that the real pipeline runs."""

from __future__ import annotations

from pathlib import Path

import torch
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

from vestibule.networks import GeneratorConfig, build_generator, generator_to_dict
from vestibule.weights import write_bundle


def write_tiny_bundle(path: Path) -> Path:
    """Write a bundle of both arms with random weights to `path`, and return `path`."""
    torch.manual_seed(0)
    config = GeneratorConfig(width=4, blocks=1)
    plans, dataset = _tiny_plans(), {"channel_names": {"0": "T1"}, "labels": {"background": 0, "vs": 1, "cochlea": 2}}
    architecture = plans["configurations"]["3d_fullres"]["architecture"]
    segmenter = get_network_from_plans(
        architecture["network_class_name"],
        architecture["arch_kwargs"],
        architecture["_kw_requires_import"],
        input_channels=1,
        output_channels=3,
        deep_supervision=False,
    )
    networks = {"segmenter": {"plans": "plans", "dataset": "dataset", "configuration": "3d_fullres"}}
    networks["segmenter"] |= {"tensors": ["segmenter"], "mirror_axes": [], "tile_step": 0.5}
    networks["translator"] = {"generator": generator_to_dict(config), "tensors": "translator"}
    manifest = {
        "name": "tiny",
        "created": "2024-01-01T00:00:00Z",
        "code_version": "0",
        "command": "pytest",
        "seed": 0,
        "edition": 2022,
        "intended_use": "test",
        "notice": "tiny weights: for tests alone",
        "arms": ["baseline", "oneshot"],
        "default_arm": "oneshot",
        "preprocessing": {"spacing_yx_mm": [2.0, 2.0], "size_yx": [32, 32]},
        "networks": {"baseline": networks, "oneshot": networks},
        "scores": {},
        "provenance": {"external_data": False, "pretrained": False},
    }
    tensors = {"segmenter": dict(segmenter.named_parameters()), "translator": build_generator(config).state_dict()}
    write_bundle(path, manifest, tensors, {"plans": plans, "dataset": dataset}, {"README.md": "Random weights.\n"})
    return path


def _tiny_plans() -> dict:
    """nnU-Net plans of a two-stage network on patches of 8 x 16 x 16."""
    resampling = {"is_seg": False, "order": 1, "order_z": 0, "force_separate_z": None}
    configuration = {
        "data_identifier": "nnUNetPlans_3d_fullres",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": [8, 16, 16],
        "median_image_size_in_voxels": [8, 32, 32],
        "spacing": [3.0, 2.0, 2.0],
        "normalization_schemes": ["ZScoreNormalization"],
        "use_mask_for_norm": [False],
        "batch_dice": False,
        "architecture": {
            "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
            "arch_kwargs": {
                "n_stages": 2,
                "features_per_stage": [4, 8],
                "conv_op": "torch.nn.modules.conv.Conv3d",
                "kernel_sizes": [[3, 3, 3], [3, 3, 3]],
                "strides": [[1, 1, 1], [2, 2, 2]],
                "n_conv_per_stage": [1, 1],
                "n_conv_per_stage_decoder": [1],
                "conv_bias": True,
                "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
                "norm_op_kwargs": {"eps": 1e-05, "affine": True},
                "dropout_op": None,
                "dropout_op_kwargs": None,
                "nonlin": "torch.nn.LeakyReLU",
                "nonlin_kwargs": {"inplace": True},
            },
            "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        },
    }
    for name in ("data", "seg", "probabilities"):
        configuration[f"resampling_fn_{name}"] = "resample_data_or_seg_to_shape"
        configuration[f"resampling_fn_{name}_kwargs"] = {**resampling, "is_seg": name == "seg"}
    return {
        "dataset_name": "Dataset001_tiny",
        "plans_name": "nnUNetPlans",
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": {"3d_fullres": configuration},
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {"0": {}},
    }
