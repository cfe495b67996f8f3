from multiprocessing.dummy import Pool as Threads

import pytest
from nnunetv2.utilities import utils
from nnunetv2.utilities.utils import get_filenames_of_train_images_and_targets as files_of

from training.data.slices import read_cases
from training.nnunet.environment import workers_for
from training.stages.segmenter import LISTED, PLANS, forget_files, rename_former_results, write_dataset
from vestibule.files import read_json


@pytest.fixture
def raw(config, run_dir, tmp_path):
    """Folder of a raw data set of nnU-Net."""
    cases = read_cases(run_dir, "source")
    write_dataset(cases[::-1], "T1", config, tmp_path / "raw")
    return tmp_path / "raw"


def test_nnunet_is_told_the_files_that_it_would_find_and_starts_no_process(raw, monkeypatch):
    def refuse(processes):
        raise AssertionError(f"{processes} processes were started")

    monkeypatch.setattr(utils, "Pool", refuse)
    told = files_of(str(raw))
    monkeypatch.setattr(utils, "Pool", Threads)
    description = read_json(raw / "dataset.json")
    del description[LISTED]
    found = files_of(str(raw), description)
    assert told == found
    assert list(told) == list(found)


def test_files_of_the_raw_data_set_are_not_in_what_is_trained_by(raw):
    forget_files(raw / "dataset.json")
    assert set(read_json(raw / "dataset.json")) == {"channel_names", "labels", "numTraining", "file_ending"}


def test_training_that_an_earlier_version_began_goes_on_in_its_own_folder(tmp_path):
    checkpoint = tmp_path / "Trainer__nnUNetPlans__2d" / "fold_all" / "checkpoint_latest.pth"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_text("as it was")
    for _ in range(2):
        rename_former_results(tmp_path, "3d_fullres")
        rename_former_results(tmp_path, "2d")
    (found,) = tmp_path.rglob("*.pth")
    assert found == tmp_path / f"nnUNetTrainer__{PLANS}__2d" / "fold_all" / "checkpoint_latest.pth"
    assert found.read_text() == "as it was"


@pytest.mark.parametrize(
    ("cases", "cores", "workers"),
    [(5, 16, 1), (11, 16, 2), (36, 2, 2), (210, 16, 4)],
)
def test_few_cases_are_planned_by_few_processes(cases, cores, workers):
    assert workers_for(cases, cores) == workers
