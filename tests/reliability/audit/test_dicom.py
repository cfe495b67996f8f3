"""Boundary: DICOM. What a header calls a patient, a date or a number may be anything, and names no file elsewhere."""

import os
import re

import numpy as np
import pytest

pydicom = pytest.importorskip("pydicom")

from tests.reliability.audit.conftest import IDENTITY, STEERING  # noqa: E402
from tests.vestibule.dicom.writer import write_series  # noqa: E402
from vestibule.dicom.headers import find_series  # noqa: E402
from vestibule.dicom.naming import names_of  # noqa: E402
from vestibule.geometry import Geometry  # noqa: E402
from vestibule.volume import Volume  # noqa: E402

PLAIN = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*(_[0-9]{8})?_(T1|T2|ceT1|MR)")


@pytest.fixture
def put(tmp_path, monkeypatch):
    """Write a series whose header holds whatever it is given."""
    monkeypatch.setattr(pydicom.config.settings, "writing_validation_mode", pydicom.config.IGNORE)
    monkeypatch.setattr(pydicom.config.settings, "reading_validation_mode", pydicom.config.IGNORE)
    voxels = np.arange(3 * 4 * 5, dtype=np.float32).reshape(3, 4, 5)
    volume = Volume(voxels, Geometry(voxels.shape, (3.0, 1.0, 1.0), (0.0, 0.0, 0.0), IDENTITY))

    def write(name, **elements):
        write_series(tmp_path / "in" / name, volume, **elements)
        return tmp_path / "in"

    return write


@pytest.mark.parametrize("date", ["../../../x", "2021\x1b[2J", "/etc", "20210309/..", "C:\\x"])
def test_no_header_names_a_file_elsewhere(put, date):
    put("a", patient="../../p\x1b[2J1", StudyDate=date)
    folder = put("b", patient="../../p\x1b[2J1", StudyDate="20210309")
    names = list(names_of(find_series(folder).series).values())
    assert len(names) == 2
    for name in names:
        assert PLAIN.fullmatch(name)


def test_pipe_that_is_called_dicom_is_passed_over(put):
    folder = put("a")
    os.mkfifo(folder / "a" / "pipe.dcm")
    (folder / "a" / "endless.dcm").symlink_to("/dev/zero")
    assert len(find_series(folder).series) == 1


def test_description_is_text_in_messages(put):
    folder = put("a", description="t2\x1b[2J\u202e")
    (series,) = find_series(folder).series
    assert not any(sign in series.title for sign in STEERING)
