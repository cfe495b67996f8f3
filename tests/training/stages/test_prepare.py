import shutil
from dataclasses import replace

import numpy as np
import pytest

from training.data.challenge_rules import read_audit
from training.data.raw_cases import find_cases
from training.data.slices import read_cases
from training.runner import run_stage
from training.stage_table import PREPARE
from training.stages.prepare import prepare
from vestibule.editions import get_edition
from vestibule.errors import InputError
from vestibule.files import write_json
from vestibule.volume import Geometry, Volume, write_volume

GEOMETRY = Geometry((4, 40, 40), (1.5, 0.9, 0.9), (-18.0, -18.0, 0.0), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))
EDITION = get_edition(2022)


@pytest.fixture
def data(tmp_path):
    """Two labelled sources of two sites and one target, in the layout of 2022."""
    generator = np.random.default_rng(0)
    _, y, x = np.mgrid[tuple(slice(n) for n in GEOMETRY.size_zyx)]
    head = ((y - 20) ** 2 + (x - 20) ** 2 < 15**2).astype(np.float32)
    labels = (abs(y - 20) < 4) & (abs(x - 20) < 4)
    for case in ("crossmoda2021_ldn_1", "crossmoda2022_etz_2"):
        image = Volume((100 * head + generator.normal(0, 1, head.shape)).astype(np.float32), GEOMETRY)
        write_volume(tmp_path / "data" / EDITION.source_folder / EDITION.source_name(case), image)
        label = Volume(labels.astype(np.uint8), GEOMETRY)
        write_volume(tmp_path / "data" / EDITION.source_folder / EDITION.label_name(case), label)
    target = tmp_path / "data" / EDITION.target_folder / EDITION.target_name("crossmoda2021_ldn_3")
    write_volume(target, Volume(50 * head + 1, GEOMETRY))
    run_dir = tmp_path / "run"
    (run_dir / "prepare").mkdir(parents=True)
    write_json(run_dir / "data.json", {"data": str(tmp_path / "data")})
    return tmp_path / "data"


def test_cases_are_found_by_the_editions_folders_and_names(data):
    cases = find_cases(data, EDITION)
    assert [(case.name, case.domain) for case in cases] == [
        ("crossmoda2021_ldn_1", "source"),
        ("crossmoda2022_etz_2", "source"),
        ("crossmoda2021_ldn_3", "target"),
    ]


@pytest.mark.parametrize(
    ("year", "case", "site"),
    [
        (2021, "crossmoda_107", "ldn"),
        (2022, "crossmoda2022_etz_107", "etz"),
        (2022, "crossmoda2022_107", None),
        (2021, "BraTS-GLI-00001-000", None),
    ],
)
def test_index_tells_the_site_that_the_edition_knows_or_none(data, config, year, case, site):
    edition = get_edition(year)
    run_dir = data.parent / "run"
    images = sorted((data / EDITION.source_folder).glob("*ldn_1*"))
    other = data.parent / "other"
    for folder in (edition.source_folder, edition.target_folder):
        (other / folder).mkdir(parents=True)
    for path in images:
        shutil.copy(path, other / edition.source_folder / path.name.replace("crossmoda2021_ldn_1", case))
    image = next((data / EDITION.target_folder).iterdir())
    shutil.copy(image, other / edition.target_folder / edition.target_name("crossmoda2021_ldn_3"))
    write_json(run_dir / "data.json", {"data": str(other)})
    prepare(replace(config, edition=year), run_dir)
    assert read_cases(run_dir, "source")[0].site == site == edition.site_of(case)


def test_prepared_cases_lie_on_the_working_grid_with_their_labels(data, config):
    run_dir = data.parent / "run"
    prepare(config, run_dir)
    case = read_cases(run_dir, "source")[0]
    assert case.image.shape == (4, 32, 32)
    assert case.image.dtype == np.float16
    assert isinstance(case.image, np.memmap)
    assert case.labels.sum() == sum(case.tumour_voxels) > 0
    assert read_cases(run_dir, "target")[0].label_path is None


def test_missing_label_missing_folder_and_other_shape_are_named(data, config):
    label = data / EDITION.source_folder / EDITION.label_name("crossmoda2022_etz_2")
    other = replace(GEOMETRY, size_zyx=(5, 40, 40))
    write_volume(label, Volume(np.zeros(other.size_zyx, np.uint8), other))
    with pytest.raises(InputError, match=r"crossmoda2022_etz_2_Label.*size \(5, 40, 40\)"):
        prepare(config, data.parent / "run")
    label.unlink()
    with pytest.raises(InputError, match=r"its label crossmoda2022_etz_2_Label\.nii\.gz is missing"):
        find_cases(data, EDITION)
    with pytest.raises(InputError, match="no such folder"):
        find_cases(data.parent, EDITION)


def test_findings_are_printed_and_kept_and_the_rules_are_audited(data, config, caplog):
    run_dir = data.parent / "run"
    outputs = prepare(config, run_dir)
    told = (run_dir / "prepare" / "report.txt").read_text()
    assert caplog.messages == []
    assert "source  etz        1         4          1.50          0.90  cochlea 0, vs 238" in told
    assert "2 x 0 pieces labelled as cochlea instead of 2 (as crossmoda2021_ldn_1)" in told
    assert run_dir / "prepare" / "findings.csv" in outputs
    assert "crossmoda2022_etz_2,source,etz,4 40 40,1.5 0.9 0.9" in (run_dir / "prepare" / "findings.csv").read_text()
    assert read_audit(run_dir) == {
        "external_data": False,
        "extra_annotation": False,
        "pretrained": False,
        "remarks": [],
    }


def test_label_outside_the_region_enlarges_it(data, config):
    label = data / EDITION.source_folder / EDITION.label_name("crossmoda2022_etz_2")
    corner = np.zeros(GEOMETRY.size_zyx, np.uint8)
    corner[1, :2, :2] = 1
    write_volume(label, Volume(corner, GEOMETRY))
    prepare(config, data.parent / "run")
    first, second = read_cases(data.parent / "run", "source")
    assert (first.image.shape, second.image.shape) == ((4, 32, 32), (4, 64, 64))
    assert second.labels[1].sum() > 0


def test_changed_data_is_prepared_again(data, config):
    run_dir = data.parent / "run"
    assert run_stage(PREPARE, config, run_dir)
    assert not run_stage(PREPARE, config, run_dir)
    image = data / EDITION.target_folder / EDITION.target_name("crossmoda2021_ldn_4")
    write_volume(image, Volume(np.random.default_rng(1).random(GEOMETRY.size_zyx, np.float32), GEOMETRY))
    assert run_stage(PREPARE, config, run_dir)


def test_hidden_files_that_a_mac_leaves_are_no_cases(data):
    before = find_cases(data, EDITION)
    for path in list(data.rglob("*.nii.gz")):
        path.with_name(f"._{path.name}").write_bytes(b"Mac OS X")
    assert find_cases(data, EDITION) == before
