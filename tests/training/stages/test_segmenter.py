from training.stages.segmenter import PLANS, rename_former_results


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
