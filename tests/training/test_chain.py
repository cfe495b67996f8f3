"""The whole chain at its smallest: phantoms, every stage, a bundle that predicts."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

from training.arms import DIRECT
from training.config import (
    LocalContrastConfig,
    PostprocessingConfig,
    SamplingConfig,
    SegmenterConfig,
    SelfTrainingConfig,
    stages_of,
)
from training.phantom.config import PhantomConfig
from training.runner import run_stage
from training.stage_table import SEGMENTER
from vestibule.cli import cli
from vestibule.pipeline import load_model
from vestibule.preprocessing import PreprocessingConfig
from vestibule.volume import read_scan
from vestibule.weights import open_bundle


@pytest.fixture
def chain_config(config):
    sampling = SamplingConfig(batch_size=1, crop_yx=(32, 32))
    return replace(
        config,
        edition=2021,
        arms=(*config.arms, "supervised"),
        phantom=PhantomConfig(
            cases=4, validation=1, shape_zyx=(12, 72, 72), spacing_zyx=(2.5, 2.0, 2.0), volume_mm3=(2000.0, 9800.0)
        ),
        prepare=PreprocessingConfig((2.0, 2.0), (64, 64)),
        cyclegan=replace(config.cyclegan, iterations=2, sampling=sampling),
        pix2pix=replace(config.pix2pix, iterations=2, sampling=sampling),
        segmenter=SegmenterConfig(
            configuration="2d",
            folds=(),
            epochs=1,
            iterations_per_epoch=2,
            features_base=4,
            max_features=16,
            gpu_memory_gb=0.02,
            mirror_at_test=False,
        ),
    )


@pytest.mark.slow
def test_two_image_sets_become_a_bundle_that_predicts_and_a_second_run_does_nothing(chain_config, tmp_path):
    stages = stages_of(chain_config)
    names = [stage.name for stage in stages]
    assert names[:6] == ["phantom", "prepare", "cyclegan", "harmoniser", "transfer", "pix2pix"]
    assert names[6:] == ["segmenter", "supervised", "export"]
    assert [run_stage(stage, chain_config, tmp_path) for stage in stages] == [True] * 9
    assert [run_stage(stage, chain_config, tmp_path) for stage in stages] == [False] * 9
    (image,) = (tmp_path / "phantom" / "data" / "target_validation").glob("*.nii.gz")
    volume = read_scan(image)
    for arm in chain_config.arms:
        model = load_model(tmp_path / "export" / "bundle", arm, "cpu")
        assert (model.translator is None) == (arm == "supervised")
        mask = model.run(volume)
        assert mask.geometry == volume.geometry
        assert set(mask.voxels.ravel().tolist()) <= {0, 1, 2}
        assert "not for patients" in model.notice
    assert list((tmp_path / "transfer" / "figures").glob("*.png"))
    predict_with_nnunet(SEGMENTER.folder(tmp_path) / "nnunet")


def predict_with_nnunet(folder):
    """Segment a training case as nnU-Net's own `nnUNetv2_predict` does: the segmenter is an ordinary nnU-Net."""
    (model,) = (folder / "results").glob("*/nnUNetTrainer__nnUNetPlans__2d")
    predictor = nnUNetPredictor(device=torch.device("cpu"), use_mirroring=False, allow_tqdm=False)
    predictor.initialize_from_trained_model_folder(str(model), use_folds=("all",))
    image = next(folder.glob("raw/*/imagesTr/*.nii.gz"))
    masks = predictor.predict_from_files_sequential([[str(image)]], None)
    assert masks[0].shape == (12, 64, 64)
    assert set(np.unique(masks[0])) <= {0, 1, 2}


@pytest.mark.slow
def test_direct_arm_goes_from_training_to_masks_that_pass_the_check(chain_config, tmp_path):
    contrast = LocalContrastConfig(probability=1.0, unevenness=0.1)
    # Masks of a network of two steps are no anatomy.
    rounds = SelfTrainingConfig(rounds=1, last_on_target=False, min_agreement=0.0, anatomy=False, weighted=True)
    config = replace(
        chain_config,
        arms=(DIRECT.name,),
        local_contrast=contrast,
        self_training=rounds,
        second_cyclegan=chain_config.cyclegan,
        segmenter=replace(chain_config.segmenter, held_back=1),
        postprocessing=PostprocessingConfig(min_cases=1),
    )
    stages = stages_of(config)
    names = [stage.name for stage in stages]
    assert names[2:5] == ["cyclegan", "second_cyclegan", "synthesis"]
    assert names[5:] == ["direct_segmenter", "postprocessing", "export"]
    assert [run_stage(stage, config, tmp_path) for stage in stages] == [True] * 8
    assert [run_stage(stage, config, tmp_path) for stage in stages] == [False] * 8

    bundle = tmp_path / "export" / "bundle"
    images = tmp_path / "phantom" / "data" / "target_validation"
    masks = tmp_path / "masks"
    called("weights", "verify", bundle)
    manifest = open_bundle(bundle).manifest
    choice = manifest["provenance"]["postprocessing"]["direct_segmenter"]
    assert manifest["networks"][DIRECT.name]["segmenter"]["components"] == choice["components"]
    # Three of four T1 by two translators, the held-back one in no round; in the second round four T2, too.
    for number, images_trained_on in ((0, 6), (1, 10)):
        raw = tmp_path / "direct_segmenter" / f"round_{number}" / "nnunet" / "raw"
        trained = raw / "Dataset001_vestibule" / "imagesTr"
        assert len(list(trained.iterdir())) == images_trained_on
        assert not list(trained.glob(f"{choice['held_back'][0]}*"))
    called("predict", images, masks, "--weights", bundle, "--arm", DIRECT.name, "--device", "cpu")
    called("check", masks, "--images", images, "--edition", 2021)
    assert len(list(masks.glob("*_Label.nii.gz"))) == 1
    assert load_model(bundle, None, "cpu").translator is None


def called(*arguments):
    finished = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert finished.exit_code == 0, finished.output
