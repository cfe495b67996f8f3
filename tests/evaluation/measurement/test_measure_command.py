import csv
import json

import numpy as np
import pytest

from vestibule.cli import main
from vestibule.volume import Geometry, Volume, write_volume

GEOMETRY = Geometry((6, 40, 40), (3.0, 2.0, 2.0), (-39.0, -39.0, 0.0), (1.0, 0, 0, 0, 1, 0, 0, 0, 1))


def run(monkeypatch, *arguments):
    """`vestibule measure` in this process; its exit code."""
    monkeypatch.setattr("sys.argv", ["vestibule", "measure", *map(str, arguments), "--workers", "1"])
    try:
        main()
    except SystemExit as stop:
        return stop.code or 0
    return 0


def write_mask(path, tumour_slices):
    labels = np.zeros(GEOMETRY.size_zyx, dtype=np.uint8)
    labels[1 : 1 + tumour_slices, 18:22, 24:28] = 1
    labels[2:4, 15:17, 32:34] = labels[2:4, 15:17, 4:6] = 2
    write_volume(path, Volume(labels, GEOMETRY))


@pytest.fixture
def masks(tmp_path):
    folder = tmp_path / "masks"
    write_mask(folder / "p7_2020-01-01_Label.nii.gz", 1)
    write_mask(folder / "p7_2020-12-31_Label.nii.gz", 2)
    return folder


def test_sizes_and_growth_are_written_with_the_notice(masks, tmp_path, monkeypatch, capsys):
    sizes, growth, document = tmp_path / "sizes.csv", tmp_path / "growth.csv", tmp_path / "all.json"
    files = ("--csv", sizes, "--growth-csv", growth, "--json", document)
    assert run(monkeypatch, masks, "--edition", 2022, *files) == 0

    first, second = csv.DictReader(sizes.read_text().splitlines())
    assert (first["case"], first["side"], first["volume_mm3"]) == ("p7_2020-01-01", "left", "192.0000")
    assert second["extrameatal_diameter_mm"] == ""
    (between,) = csv.DictReader(growth.read_text().splitlines())
    assert (between["patient"], between["days"], between["doubling_days"]) == ("p7", "365", "365.0000")
    written = json.loads(document.read_text())
    assert written["growth"][0]["growth_percent"] == pytest.approx(100)
    for text in (first["notice"], between["notice"], written["notice"], capsys.readouterr().out):
        assert "Not a medical device" in text


def test_a_mask_that_cannot_be_read_costs_itself_alone(masks, tmp_path, monkeypatch, capsys):
    broken = masks / "p8_Label.nii.gz"
    broken.write_bytes(b"no image")
    sizes = tmp_path / "sizes.csv"
    assert run(monkeypatch, masks, "--edition", 2022, "--csv", sizes) == 1
    assert len(sizes.read_text().splitlines()) == 4
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert "1 of 3 masks could not be measured" in last
    assert str(broken) in last


def test_two_masks_of_a_case_are_refused(masks, monkeypatch, capsys):
    write_mask(masks / "p7_2020-01-01.nii.gz", 1)
    assert run(monkeypatch, masks, "--edition", 2022) == 1
    assert "is a mask of case p7_2020-01-01 too" in capsys.readouterr().err


def test_without_dates_nothing_is_said_of_growth(tmp_path, monkeypatch, capsys):
    write_mask(tmp_path / "masks" / "crossmoda2022_etz_1_Label.nii.gz", 1)
    assert run(monkeypatch, tmp_path / "masks") == 0
    assert "growth" not in capsys.readouterr().out
