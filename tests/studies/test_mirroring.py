"""The study of mirrored images: the copies of a bundle that it compares."""

from vestibule.pipeline import load_model
from vestibule.weights import open_bundle


def test_copy_of_a_bundle_asks_mirrored_images_or_none_and_the_bundle_stays(study, repository, tmp_path):
    bundle = repository / "weights" / "phantom"
    arm = open_bundle(bundle).arm()
    before = (bundle / "manifest.json").read_bytes()
    for mirrored, axes in ((True, (0, 1)), (False, None), (True, (0, 1))):
        copy = study("mirroring").mirroring(bundle, arm, mirrored, tmp_path / "copy")
        predictor = load_model(copy, arm, "cpu").segmenter._predictor
        assert predictor.use_mirroring == mirrored
        assert predictor.allowed_mirroring_axes == axes
    assert (bundle / "manifest.json").read_bytes() == before
