"""What is installed from the built wheel, outside of the clone."""

import email
import os
import subprocess
import sys
import tarfile
import zipfile

import numpy as np
import pytest
from packaging.specifiers import SpecifierSet

import vestibule
from vestibule.volume import Geometry, Volume, read_labels, write_volume

pytestmark = pytest.mark.slow


BUILD_SDIST = "import sys; from setuptools.build_meta import build_sdist; build_sdist(sys.argv[1])"


@pytest.fixture(scope="module")
def sdist(repository, tmp_path_factory):
    """The source archive, built of a copy of what is tracked: a build leaves folders behind."""
    folder = tmp_path_factory.mktemp("sdist")
    source = folder / "source"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=repository, capture_output=True, check=True)
    names = [name for name in listed.stdout.decode().split("\0") if name]
    for name in names:
        if (repository / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((repository / name).read_bytes())
    command = [sys.executable, "-c", BUILD_SDIST, str(folder)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (built,) = folder.glob("*.tar.gz")
    return built


@pytest.fixture(scope="module")
def wheel(sdist, tmp_path_factory):
    """The wheel, built of the source archive."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "-w", str(folder), str(sdist)], check=True, capture_output=True)
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


def test_the_source_archive_has_what_a_reader_looks_for_and_no_tests(sdist):
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff", "constraints.txt", "pyproject.toml"} <= names
    assert "weights/phantom/manifest.json" in names
    assert not any(name.startswith(("tests", "docs", ".ci")) for name in names)


def test_the_metadata_tell_who_may_use_it_and_where_it_comes_from(wheel, repository):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = email.message_from_bytes(archive.read(name))
    assert metadata["Version"] == vestibule.__version__
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Description-Content-Type"] == "text/markdown"
    # The interpreters that are named are those that are allowed.
    allowed = SpecifierSet(metadata["Requires-Python"])
    named = [line.rpartition(" ")[2] for line in metadata.get_all("Classifier") if "Python :: 3." in line]
    assert named == [version for version in ("3.10", "3.11", "3.12", "3.13") if version in allowed]
    cited = (repository / "CITATION.cff").read_text()
    urls = dict(line.split(", ") for line in metadata.get_all("Project-URL"))
    assert urls["Method"] in cited


def test_the_module_is_the_command(run):
    assert run("-m", "vestibule", "--version").stdout.split() == ["vestibule,", "version", vestibule.__version__]


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
