import contextlib
import io

import numpy as np
import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

from vestibule.exchange.formats import FORMATS, export
from vestibule.exchange.nnunet import DATASET
from vestibule.files import read_json


def test_nnunet_predicts_the_same_mask_from_the_model_folder(exported, expected):
    (folder,) = (exported("nnunet") / DATASET).iterdir()
    with contextlib.redirect_stdout(io.StringIO()):
        on_cpu = torch.device("cpu")
        predictor = nnUNetPredictor(tile_step_size=1.0, device=on_cpu, allow_tqdm=False)
        predictor.initialize_from_trained_model_folder(str(folder), None)
        properties = {"spacing": list(expected.working.geometry.spacing_zyx)}
        theirs = predictor.predict_single_npy_array(expected.t1[None].astype(np.float32), properties)
    probabilities = expected.model.segmenter.probabilities(expected.t1, expected.working.geometry.spacing_zyx)
    ours = probabilities.argmax(axis=0)
    assert ours.any()
    np.testing.assert_array_equal(theirs, ours)


def test_the_folder_is_laid_out_as_slicer_looks_for_it(exported):
    out = exported("nnunet")
    (dataset,) = out.rglob("dataset.json")
    assert dataset.parent.parent.parent == out
    assert dataset.parent.parent.name == "Dataset001_vestibule"
    assert dataset.parent.name.split("__") == ["nnUNetTrainer", "nnUNetPlans", "2d"]
    assert (dataset.parent / "fold_0" / "checkpoint_final.pth").is_file()
    assert read_json(dataset)["labels"] == {"background": 0, "vs": 1, "cochlea": 2}
    assert read_json(dataset)["file_ending"] == ".nii.gz"


def test_the_page_says_that_the_translator_is_not_in_it(exported):
    text = (exported("nnunet") / "README.md").read_text()
    assert "The translator from T2 to T1 is not in it" in text
    assert "phantoms only, not for patients" in text
    # These weights are averaged over mirrored images, which is nnU-Net's default.
    assert "-step_size 1" in text
    assert "--disable_tta" not in text


def test_the_page_turns_mirroring_off_where_the_weights_have_none(tiny_bundle, tmp_path):
    export(tiny_bundle, tmp_path / "out", FORMATS["nnunet"], "oneshot")
    assert "--disable_tta" in (tmp_path / "out" / "README.md").read_text()
