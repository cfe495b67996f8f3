"""The study of mirrored images: the copies of a bundle that it compares."""

from vestibule.pipeline import load_model


def test_copy_of_a_bundle_asks_mirrored_images_or_none_and_the_bundle_stays(study, repository, tmp_path):
    bundle = repository / "weights" / "phantom"
    before = (bundle / "manifest.json").read_bytes()
    for mirrored, axes in ((True, (0, 1)), (False, None), (True, (0, 1))):
        copy = study("mirroring").mirroring(bundle, "blending", mirrored, tmp_path / "copy")
        predictor = load_model(copy, "blending", "cpu").segmenter._predictor
        assert predictor.use_mirroring == mirrored
        assert predictor.allowed_mirroring_axes == axes
    assert (bundle / "manifest.json").read_bytes() == before
