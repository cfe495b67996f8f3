import numpy as np
import pytest

from tests.training.conftest import write_prepared
from training.data.slices import read_cases
from training.diagnostics import vanishing
from training.diagnostics.contrast import ring
from training.diagnostics.vanishing import contrast_left, vanishing_tumours
from vestibule.editions import get_edition

EDITION = get_edition(2022)


@pytest.fixture
def translated(tmp_path, monkeypatch):
    """A run in whose synthetic T1 tumours have a part of their contrast on T1; a function of that part."""
    write_prepared(tmp_path)
    write_prepared(tmp_path, stage="transfer", domains=("source",))

    def use(part):
        cases = iter(read_cases(tmp_path, "source"))

        class Translators:
            def __init__(self, run_dir):
                pass

            def __call__(self, stage, name, volume):
                case = next(cases)
                image = np.asarray(case.image, dtype=np.float32)
                tumour = np.asarray(case.labels) > 0
                around = image[ring(tumour) & ~tumour].mean()
                return np.where(tumour, around + part * (image - around), image)

        monkeypatch.setattr(vanishing, "Translators", Translators)
        return tmp_path

    return use


@pytest.mark.parametrize("part", [1.0, 0.5])
def test_tumours_that_keep_their_contrast_are_not_warned_of(translated, part):
    run_dir = translated(part)
    assert contrast_left(run_dir, EDITION) == pytest.approx(part, rel=1e-3)


@pytest.mark.parametrize(("part", "is_warned"), [(1.0, False), (0.5, False), (0.1, True), (-0.5, True)])
def test_tumours_that_synthetic_t1_hardly_shows_are_warned_of(translated, part, is_warned):
    told = vanishing_tumours(translated(part), EDITION)
    assert (told is not None) == is_warned
    if is_warned:
        assert "of their contrast on T1 left when B' is translated back" in told
