"""What is installed from the built wheel, outside of the clone."""

import os
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from vestibule.volume import Geometry, Volume, read_labels, write_volume

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(repository, tmp_path_factory):
    """The wheel, built of a copy of what is tracked: a build leaves folders behind."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    listed = subprocess.run(
        ["git", "ls-files", "-z", "vestibule", "training", "evaluation", "contract", "weights", "configs"],
        cwd=repository,
        capture_output=True,
        check=True,
    )
    names = [name for name in listed.stdout.decode().split("\0") if name]
    for name in [*names, "pyproject.toml", "README.md", "LICENSE"]:
        if (repository / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((repository / name).read_bytes())
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "-w", str(folder), str(source)], check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def run(wheel, tmp_path_factory):
    """Runs the installed package's Python outside of the clone; libraries are those of the tests."""
    target = tmp_path_factory.mktemp("site")
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(target), str(wheel)]
    subprocess.run(pip, check=True, capture_output=True)

    def run(*arguments):
        environment = {**os.environ, "PYTHONPATH": str(target)}
        environment.pop("VESTIBULE_WEIGHTS", None)
        command = [sys.executable, *map(str, arguments)]
        done = subprocess.run(command, cwd=elsewhere, env=environment, capture_output=True, text=True)
        assert "Traceback" not in done.stderr, done.stderr
        return done

    where = run("-c", "import vestibule; print(vestibule.__file__)")
    assert where.stdout.startswith(str(target))
    return run


def test_the_wheel_has_weights_configurations_and_the_page(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    for ending in (
        "data/share/vestibule/weights/phantom/manifest.json",
        "data/share/vestibule/weights/phantom/segmenter_fold_all.safetensors",
        "data/share/vestibule/configs/phantom.yaml",
        "evaluation/reporting/report/page.html.j2",
        "vestibule/py.typed",
    ):
        assert any(name.endswith(ending) for name in names), ending
    assert not any(name.startswith("tests/") for name in names)


def test_an_image_is_segmented_and_scored_with_what_the_wheel_brings(run, tmp_path):
    geometry = Geometry((12, 72, 72), (6.0, 2.5, 2.5), (-88.0, -88.0, -30.0), (1.0, 0, 0, 0, 1, 0, 0, 0, 1))
    z, y, x = np.indices(geometry.size_zyx)
    head = ((y - 36) ** 2 + (x - 36) ** 2 < 30**2) * 300.0 + 5 * z
    write_volume(tmp_path / "in" / "crossmoda2021_ldn_1_hrT2.nii.gz", Volume(head.astype(np.float32), geometry))

    done = run("-m", "vestibule", "predict", tmp_path / "in", tmp_path / "masks")
    assert done.returncode == 0, done.stderr
    mask = tmp_path / "masks" / "crossmoda2021_ldn_1_Label.nii.gz"
    assert read_labels(mask).geometry.size_zyx == geometry.size_zyx

    references = tmp_path / "references" / mask.name
    write_volume(references, read_labels(mask))
    done = run("-m", "vestibule", "evaluate", tmp_path / "masks", references.parent, tmp_path / "scores")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "scores" / "report.html").stat().st_size > 10_000


def test_configurations_are_found_by_name(run):
    script = (
        "from pathlib import Path; from training.config import read_config; print(read_config(Path('phantom')).name)"
    )
    assert run("-c", script).stdout.strip() == "phantom"
    done = run("-m", "vestibule", "train", "run", "--config", "fantom", "--run", "r")
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert "fantom: no such file, and no configuration of this name; those that are installed:" in last
    assert "crossmoda2021" in last
