"""Whole commands with one damaged file among good ones: how each has to end, and what it must leave alone."""

from __future__ import annotations

import contextlib
import csv
import gzip
import hashlib
import io
import json
import os
import shutil
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import matplotlib.font_manager  # noqa: F401  # its cache is written where it is imported first
import numpy as np
import yaml

from tests.reliability.fuzz import formats, seeds, texts
from tests.reliability.fuzz.mutations import BYTES, JSON, within_first
from tests.reliability.fuzz.oracle import check_place, check_volume
from tests.reliability.fuzz.runner import ROOT, Kind
from tests.vestibule.dicom.writer import write_series
from vestibule.cli import main
from vestibule.errors import InputError
from vestibule.files import PARTIAL
from vestibule.volume import read_header, read_labels, read_volume
from vestibule.weights import MANIFEST_NAME

LAST_LINE = "vestibule: error: "
DAMAGED, GOOD = "crossmoda2021_ldn_1", "crossmoda2021_ldn_2"
"""The case whose file is damaged, and the one that it must cost nothing."""
HEAD_OF_DICOM = 1500
"""Bytes of a DICOM file in which most of its elements lie."""


class BadEndError(Exception):
    """A command ended as no command may, or changed what is not its own."""


@dataclass(frozen=True)
class Scene:
    """Good inputs of every command, which no command may change."""

    folder: Path
    bundle: Path

    def give(self, name: str, target: Path) -> Path:
        """A file or folder of the scene at another place, its files shared with the original."""
        target.parent.mkdir(parents=True, exist_ok=True)
        source = self.folder / name
        if source.is_dir():
            shutil.copytree(source, target, copy_function=os.link, dirs_exist_ok=True)
        else:
            os.link(source, target)
        return target


def make_scene(folder: Path, bundle: Path) -> Scene:
    """Write the good inputs to `folder`: images, masks, references, two DICOM series, and data to train on."""
    image, labels, *_ = seeds.nifti_files()
    for case in (DAMAGED, GOOD):
        _write(folder / "t2" / f"{case}_hrT2.nii.gz", image)
        # Of its own: a mask that leads to its reference is refused.
        for name in ("masks", "references"):
            _write(folder / name / f"{case}_Label.nii.gz", labels)
    _write(folder / "data/source_training/crossmoda2021_ldn_3_ceT1.nii.gz", image)
    _write(folder / "data/source_training/crossmoda2021_ldn_3_Label.nii.gz", labels)
    _write(folder / "data/target_training" / f"{GOOD}_hrT2.nii.gz", image)
    head = seeds.head()
    for name in ("good", "other"):
        write_series(folder / "dicom" / name, head.with_voxels(np.round(head.voxels)), PatientID=name)

    config = yaml.safe_load((ROOT / "tests/reliability/faults/tiny.yaml").read_text())
    del config["phantom"]
    config |= {"intended_use": "challenge", "arms": ["baseline"]}
    (folder / "tiny.yaml").write_text(yaml.safe_dump(config))
    return Scene(folder, bundle)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content, 1, mtime=0))


def command_kinds(scene: Scene) -> list[Kind]:
    """A kind for each command and each file that it reads."""
    image = (f"{DAMAGED}_hrT2.nii.gz", f"{DAMAGED}_hrT2.nii")
    mask = (f"{DAMAGED}_Label.nii.gz", f"{DAMAGED}_Label.nii")
    nifti = seeds.nifti_files()
    masks = [nifti[1], nifti[1 + len(nifti) // 2]]
    first_slice = sorted((scene.folder / "dicom/other").iterdir())[0]
    plans = [(scene.bundle / "plans.json").read_bytes()]
    tables = seeds.score_tables()
    metaimages = seeds.metaimage_files(scene.folder)
    in_dicom = (*[within_first(HEAD_OF_DICOM)] * 4, *BYTES)

    def kind(name: str, content: list[bytes], names: tuple[str, ...], mutations: tuple, end: Callable, weight=1.0):
        return Kind(name, content, names, mutations, lambda path: _try(scene, path, end), weight)

    return [
        kind("predict", nifti, image, formats.NIFTI, _predict, 2),
        kind("predict .mha", metaimages, (f"{DAMAGED}_hrT2.mha",), formats.METAIMAGE, _predict),
        kind("evaluate", masks, mask, formats.NIFTI, _evaluate, 1.5),
        kind("evaluate --images", nifti, image, formats.NIFTI, _evaluate_images, 0.5),
        kind("evaluate-teams", seeds.zip_files(), ("one.zip",), formats.ZIP, _evaluate_teams),
        kind("pictures", nifti, image, formats.NIFTI, _pictures, 0.7),
        kind("screen", masks, mask, formats.NIFTI, _screen),
        kind("screen --images", nifti, image, formats.NIFTI, _screen_images),
        kind("measure", masks, mask, formats.NIFTI, _measure),
        kind("check", masks[1:], mask[:1], formats.NIFTI, _check),
        kind("check of a zip", seeds.zip_files(), ("masks.zip",), formats.ZIP, _check_zip),
        kind("rank", tables[:1], ("scores.csv",), texts.CSV, _rank),
        kind("statistics", tables[1:], ("cases.csv",), texts.CSV, _statistics),
        kind("weights verify", plans, ("plans.json",), JSON, _verify),
        kind("import dicom", [first_slice.read_bytes()], (first_slice.name,), in_dicom, _import, 1.5),
        kind("train prepare", nifti, image, formats.NIFTI, _prepare, 0.5),
    ]


def _try(scene: Scene, path: Path, end: Callable[[Scene, Path, Path], None]) -> None:
    """Run a command whose outputs go to `out` beside the damaged file; nothing half written may stay anywhere."""
    try:
        end(scene, path, path.parent / "out")
    finally:
        left = [str(entry) for entry in path.parent.rglob(f"{PARTIAL}*")]
        left += [str(entry) for entry in path.parent.glob(".*.lock")]
        _expect(not left, f"left behind: {left}")


def run_command(inputs: Path, *arguments: object) -> tuple[int, str]:
    """Run a command as a user does, in this process.

    Args:
        inputs: Folder that it may read and not change.
        arguments: The command and its arguments.

    Returns:
        Exit code and last line of stderr.

    Raises:
        BadEndError: It ended in other ways than with 0, or with 1 and its one last line; or it changed its inputs.
    """
    before = _state_of(inputs)
    stderr = io.StringIO()
    argv = sys.argv
    sys.argv = ["vestibule", *map(str, arguments)]
    code = 0
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(stderr):
            main()
    except SystemExit as stop:
        code = int(stop.code or 0)
    finally:
        sys.argv = argv
    lines = stderr.getvalue().strip().splitlines()
    last = lines[-1] if lines else ""
    if code not in (0, 1) or (code == 1 and not last.startswith(LAST_LINE)):
        raise BadEndError(f"exit code {code}: {stderr.getvalue()[-600:]}")
    if _state_of(inputs) != before:
        raise BadEndError(f"changed in {inputs}: {set(_state_of(inputs).items()) ^ set(before.items())}")
    return code, last


def _state_of(folder: Path) -> dict[str, str]:
    found = {}
    for path in sorted(folder.rglob("*")):
        content = path.read_bytes() if path.is_file() else b""
        found[str(path.relative_to(folder))] = hashlib.sha256(content).hexdigest()
    return found


def _expect(holds: object, what: str) -> None:
    if not holds:
        raise BadEndError(what)


def _refuse(code: int, last: str) -> None:
    """Tell the runner that the damaged file was refused."""
    if code:
        raise InputError(last.removeprefix(LAST_LINE))


def _predict(scene: Scene, path: Path, out: Path) -> None:
    images = scene.give(f"t2/{GOOD}_hrT2.nii.gz", path.parent / "in" / f"{GOOD}_hrT2.nii.gz").parent
    os.link(path, images / path.name)
    code, last = run_command(images, "predict", images, out, "--weights", scene.bundle, "--device", "cpu")
    masks = sorted(entry.name for entry in out.iterdir())
    _expect(f"{GOOD}_Label.nii.gz" in masks, "the good image has no mask")
    _expect(code == 2 - len(masks), f"{masks} and exit code {code}")
    _refuse(code, last)
    geometry, _ = read_header(out / f"{DAMAGED}_Label.nii.gz")
    check_place(path, geometry)


def _masks(scene: Scene, path: Path) -> Path:
    """A folder with the damaged mask and a good one."""
    folder = scene.give(f"masks/{GOOD}_Label.nii.gz", path.parent / "masks" / f"{GOOD}_Label.nii.gz").parent
    os.link(path, folder / path.name)
    return folder


def _images(scene: Scene, path: Path) -> Path:
    """A folder with the damaged image and a good one."""
    folder = scene.give(f"t2/{GOOD}_hrT2.nii.gz", path.parent / "t2" / f"{GOOD}_hrT2.nii.gz").parent
    os.link(path, folder / path.name)
    return folder


def _evaluate(scene: Scene, path: Path, out: Path) -> None:
    masks = _masks(scene, path)
    code, last = run_command(masks, "evaluate", masks, scene.folder / "references", out, "--no-report", "--workers", 1)
    rows = _scores(out / "cases.csv")
    _expect(len(rows) == 4, f"scores of {sorted(rows)}")
    _expect(rows[GOOD, "vs"] == 1.0 == rows[GOOD, "cochlea"], "other scores of the good mask")
    _expect(code == 0 or rows[DAMAGED, "vs"] == 0.0 == rows[DAMAGED, "cochlea"], "a failed mask has a score")
    _refuse(code, last)
    check_volume(path, read_labels(path))


def _scores(path: Path) -> dict[tuple[str, str], float]:
    with path.open(encoding="utf-8") as stream:
        return {(row["case"], row["structure"]): float(row["dice"]) for row in csv.DictReader(stream)}


def _evaluate_images(scene: Scene, path: Path, out: Path) -> None:
    images = _images(scene, path)
    masks, references = scene.folder / "masks", scene.folder / "references"
    code, last = run_command(images, "evaluate", masks, references, out, "--images", images, "--workers", 1)
    _expect(set(_scores(out / "cases.csv").values()) == {1.0}, "other scores")
    _expect((out / "report.html").is_file(), "no report")
    _refuse(code, last)


def _evaluate_teams(scene: Scene, path: Path, out: Path) -> None:
    teams = scene.give("masks", path.parent / "teams/two").parent
    os.link(path, teams / path.name)
    references = scene.folder / "references"
    options = ("--no-report", "--workers", 1, "--bootstraps", 10)
    code, last = run_command(teams, "evaluate-teams", teams, references, out, *options)
    ranking = json.loads((out / "ranking.json").read_text())["ranking"]
    _expect("two" in [team["team"] for team in ranking], "the good team is not ranked")
    _expect(set(_scores(out / "teams/two/cases.csv").values()) == {1.0}, "other scores of the good team")
    _refuse(code, last)


def _pictures(scene: Scene, path: Path, out: Path) -> None:
    images = _images(scene, path)
    masks, references = scene.folder / "masks", scene.folder / "references"
    code, last = run_command(images, "pictures", masks, references, out, "--images", images)
    pictures = sorted(entry.stem for entry in out.iterdir())
    _expect(GOOD in pictures, "no picture of the good case")
    _expect(code == 2 - len(pictures), f"{pictures} and exit code {code}")
    _refuse(code, last)


def _screen(scene: Scene, path: Path, out: Path) -> None:
    masks = _masks(scene, path)
    run_command(masks, "screen", masks, "--workers", 1, "--json", out)
    _expect(_by_case(out, "cases").keys() == {DAMAGED, GOOD}, "a case is missing")
    check_volume(path, read_labels(path))


def _screen_images(scene: Scene, path: Path, out: Path) -> None:
    images, masks = _images(scene, path), scene.folder / "masks"
    code, last = run_command(images, "screen", masks, "--images", images, "--workers", 1, "--json", out)
    found = _by_case(out, "cases")
    _expect(found.keys() == {DAMAGED, GOOD}, "a case is missing")
    try:
        read_volume(path)
    except InputError:
        _expect(code == 1 and found[DAMAGED]["reasons"], "a damaged image was passed over")
        _refuse(code, last)


def _measure(scene: Scene, path: Path, out: Path) -> None:
    masks = _masks(scene, path)
    code, last = run_command(masks, "measure", masks, "--workers", 1, "--json", out)
    sizes = _by_case(out, "cases")
    _expect(sizes.keys() == {DAMAGED, GOOD}, "a case is missing")
    _expect(sizes[GOOD]["volume_mm3"] > 0, "the good mask was not measured")
    _expect(code == (sizes[DAMAGED]["volume_mm3"] is None), f"exit code {code}")
    _refuse(code, last)
    check_volume(path, read_labels(path))


def _by_case(path: Path, key: str) -> dict[str, dict]:
    return {entry["case"]: entry for entry in json.loads(path.read_text())[key]}


def _check(scene: Scene, path: Path, out: Path) -> None:
    masks = _masks(scene, path)
    code, last = run_command(masks, "check", masks, "--edition", 2021, "--images", scene.folder / "t2", "--json", out)
    _refuse(code, last)


def _check_zip(scene: Scene, path: Path, out: Path) -> None:
    code, last = run_command(path.parent, "check", path, "--edition", 2021)
    # What holds the same files is as good as before.
    _refuse(code, last)
    with zipfile.ZipFile(path) as archive:
        _expect(len(archive.namelist()) >= 2, "accepted without its masks")


def _rank(scene: Scene, path: Path, out: Path) -> None:
    _refuse(*run_command(path.parent, "rank", path, "--bootstraps", 10))


def _statistics(scene: Scene, path: Path, out: Path) -> None:
    folder = path.parent
    _refuse(*run_command(folder, "statistics", f"x={folder}", "--edition", 2021))
    _refuse(*run_command(folder, "table1", f"x={folder}"))


def _verify(scene: Scene, path: Path, out: Path) -> None:
    bundle = path.parent / "bundle"
    shutil.copytree(scene.bundle, bundle, copy_function=os.link)
    content = path.read_bytes()
    manifest = json.loads((bundle / MANIFEST_NAME).read_text())
    manifest["files"][path.name] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    for name, text in ((path.name, content), (MANIFEST_NAME, json.dumps(manifest).encode())):
        (bundle / name).unlink()
        (bundle / name).write_bytes(text)
    _refuse(*run_command(bundle, "weights", "verify", bundle))


def _import(scene: Scene, path: Path, out: Path) -> None:
    folder = scene.give("dicom", path.parent / "dicom")
    (folder / "other" / path.name).unlink()
    os.link(path, folder / "other" / path.name)
    code, last = run_command(folder, "import", "dicom", folder, out)
    expected = np.round(seeds.head().voxels)
    written = [read_volume(image).voxels for image in out.rglob("*.nii.gz")]
    _expect(any(np.array_equal(voxels, expected) for voxels in written), "the good series was not written")
    _refuse(code, last)


def _prepare(scene: Scene, path: Path, out: Path) -> None:
    data = scene.give("data", path.parent / "data")
    os.link(path, data / "target_training" / path.name)
    config = scene.folder / "tiny.yaml"
    code, last = run_command(data, "train", "prepare", "--config", config, "--run", out, "--data", data)
    _refuse(code, last)
    check_place(path, read_header(data / "target_training" / path.name)[0])
