"""The kinds of files that are damaged, and the public functions that read each of them."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import numpy as np

from contract.archive import check_image_archive, check_weights_archive
from contract.predictions import _read_mask
from contract.report import Report
from evaluation.platform.jobs import read_jobs
from evaluation.ranking import as_document, rank
from evaluation.reporting.outputs import read_rows
from evaluation.score_tables import as_field, check_same_definitions, edition_of_scores, read_scores
from tests.reliability.fuzz import formats, seeds, texts
from tests.reliability.fuzz.mutations import JSON, TEXT
from tests.reliability.fuzz.oracle import WrongError, check_volume
from tests.reliability.fuzz.runner import ROOT, Kind
from training.config import read_config
from training.data.slices import read_cases
from training.implant.files import add_record
from training.run_folder import check_age, read_outputs, recorded_config
from training.stage_table import PREPARE
from vestibule.bundle_check import check_networks
from vestibule.commands.weights import _facts, _scores
from vestibule.editions import get_edition
from vestibule.errors import InputError
from vestibule.inputs import find_cases, find_platform_case
from vestibule.pipeline import load_model
from vestibule.unpack import unpack
from vestibule.volume import read_header, read_labels, read_scan, read_volume
from vestibule.weights import MANIFEST_NAME, open_bundle


def all_kinds(bundle: Path, scratch: Path) -> list[Kind]:
    """Every kind, with seeds that are made in `scratch`; `bundle` is a small bundle of weights."""
    manifest = [(bundle / MANIFEST_NAME).read_bytes()]
    plans = [(bundle / "plans.json").read_bytes(), (ROOT / "weights/phantom/segmenter_plans.json").read_bytes()]
    dataset = [(bundle / "dataset.json").read_bytes()]
    tensors = [(bundle / "translator.safetensors").read_bytes()]
    configs = [path.read_bytes() for path in sorted((ROOT / "configs").glob("*.yaml"))]

    def document(name: str):
        return lambda path: _use_document(bundle, name, path)

    return [
        Kind(
            "nifti", seeds.nifti_files(), ("a.nii.gz", "a.nii", "A.NII.GZ", "a.Nii.gz"), formats.NIFTI, _read_image, 6
        ),
        Kind("metaimage", seeds.metaimage_files(scratch), ("a.mha", "A.MHA"), formats.METAIMAGE, _read_image, 4),
        Kind("npy", seeds.arrays(), ("a.npy",), formats.ARRAY, _read_array),
        Kind("predictions.json", [seeds.jobs()], ("predictions.json",), JSON, _read_jobs, 1.5),
        Kind("inputs.json", seeds.inputs(), ("inputs.json",), JSON, _read_inputs, 1.5),
        Kind("metrics.json", [seeds.metrics()], ("metrics.json",), JSON, _read_metrics),
        Kind("implants.json", [b'{"a_T2.nii.gz": {"seed": 1}}'], ("implants.json",), JSON, _add_implant, 0.5),
        Kind("stage.json", [_stage_record()], ("stage.json", "config.json", "index.json"), JSON, _read_run),
        Kind("manifest.json", manifest, (MANIFEST_NAME,), JSON, lambda path: _use_manifest(bundle, path), 2),
        Kind("plans", plans, ("plans.json",), JSON, document("plans.json"), 2),
        Kind("dataset", dataset, ("dataset.json",), JSON, document("dataset.json"), 0.5),
        Kind("safetensors", tensors, ("a.safetensors",), formats.SAFETENSORS, document("translator.safetensors"), 1.5),
        Kind("yaml", configs, ("a.yaml",), texts.YAML, lambda path: read_config(path), 4),
        Kind("csv", seeds.score_tables(), ("cases.csv",), texts.CSV, _read_table, 4),
        Kind("zip", seeds.zip_files(), ("a.zip",), formats.ZIP, lambda path: unpack(path, _folder(path)), 3),
        Kind("tar", seeds.tar_files(bundle), ("a.tar.gz",), formats.TAR, _read_archive, 2),
        Kind(
            "text as an image", [b"text\n"], ("a.nii", "a.nii.gz", "a.mha", "a.mhd", "a.nrrd"), TEXT, _read_image, 0.5
        ),
    ]


def _folder(path: Path) -> Path:
    folder = path.parent / "unpacked"
    folder.mkdir()
    return folder


def _read_image(path: Path) -> None:
    refusals = 0
    for read in (read_labels, read_scan, read_header, _read_mask):
        try:
            read(path)
        except InputError:
            refusals += 1
    if path.suffix in (".mhd", ".nrrd"):
        find_cases(path.parent, path.parent / "out", get_edition(2021))
    volume = read_volume(path)
    check_volume(path, volume)


def _read_array(path: Path) -> None:
    entry = {
        "case": "a",
        "domain": "source",
        "site": "ldn",
        "image": path.name,
        "label": path.name,
        "spacing_zyx": [1, 1, 1],
    }
    entry |= {"foreground": [0.5] * 4, "tumour_voxels": [0] * 4}
    folder = PREPARE.folder(path.parent)
    folder.mkdir()
    os.link(path, folder / path.name)
    (folder / "index.json").write_text(json.dumps({"cases": [entry]}))
    (case,) = read_cases(path.parent, "source")
    for array in (case.image, case.labels):
        if not np.array_equal(array, np.load(path), equal_nan=True):
            raise WrongError("other values")


def _read_jobs(path: Path) -> None:
    (path.parent / "job1/output/images/mask").mkdir(parents=True)
    (path.parent / "job1/output/images/mask/x.mha").write_bytes(b"x")
    submission = read_jobs(path)
    for mask in submission.masks.values():
        if not mask.resolve().is_relative_to(path.parent.resolve()):
            raise WrongError(f"{mask} lies outside")
    print(json.dumps(submission.problems))


def _read_inputs(path: Path) -> None:
    (path.parent / "images/t2-mri").mkdir(parents=True)
    (path.parent / "images/t2-mri/x.mha").write_bytes(b"x")
    case = find_platform_case(path.parent, path.parent / "out", "mask")
    if not case.image_path.resolve().is_relative_to(path.parent.resolve()):
        raise WrongError(f"{case.image_path} lies outside")


def _read_metrics(path: Path) -> None:
    check_same_definitions({"a": path.parent, "b": path.parent})
    edition_of_scores(path.parent, [{"case": "x", "structure": "vs"}])


def _add_implant(path: Path) -> None:
    add_record(path.parent, "new", {"seed": 2})


def _stage_record() -> bytes:
    record = {
        "stage": "prepare",
        "seed": 0,
        "config": {"prepare": {"size_yx": [96, 96]}, "edition": 2021, "phantom": None},
    }
    outputs = {"out.bin": hashlib.sha256(b"ok").hexdigest()}
    record |= {"inputs": {}, "fingerprint": "0" * 64, "outputs": outputs, "files": {"out.bin": [2, 5]}}
    entry = {"case": "a", "domain": "source", "site": "ldn", "image": "a.npy", "label": None, "spacing_zyx": [1, 1, 1]}
    record["cases"] = [entry | {"foreground": [0.5], "tumour_voxels": []}]
    return json.dumps(record, indent=1).encode()


def _read_run(path: Path) -> None:
    run_dir = path.parent
    folder = PREPARE.folder(run_dir)
    folder.mkdir()
    for name in ("stage.json", "config.json", "index.json"):
        content = path.read_bytes() if name == path.name else _stage_record()
        (folder / name).write_bytes(content)
    (folder / "out.bin").write_bytes(b"ok")
    refusal = None
    for read in (
        lambda: read_cases(run_dir, "source"),
        lambda: recorded_config(run_dir, PREPARE),
        lambda: check_age(run_dir),
    ):
        try:
            read()
        except InputError as error:
            refusal = error
    read_outputs(run_dir, PREPARE)
    if refusal:
        raise refusal


def _copy_of(bundle: Path, path: Path) -> Path:
    """The bundle again beside the damaged file, its files shared with the original."""
    copy = path.parent / "bundle"
    copy.mkdir()
    for file in bundle.iterdir():
        os.link(file, copy / file.name)
    return copy


def _use_manifest(bundle: Path, path: Path) -> None:
    copy = _copy_of(bundle, path)
    (copy / MANIFEST_NAME).unlink()
    (copy / MANIFEST_NAME).write_bytes(path.read_bytes())
    _use_bundle(copy)


def _use_document(bundle: Path, name: str, path: Path) -> None:
    copy = _copy_of(bundle, path)
    content = path.read_bytes()
    manifest = json.loads((copy / MANIFEST_NAME).read_text())
    manifest["files"][name] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    for file, text in ((name, content), (MANIFEST_NAME, json.dumps(manifest).encode())):
        (copy / file).unlink()
        (copy / file).write_bytes(text)
    _use_bundle(copy)


def _use_bundle(folder: Path) -> None:
    opened = open_bundle(folder)
    _facts(opened)
    _scores(opened)
    for arm in opened.manifest["arms"]:
        check_networks(opened, arm)
    load_model(folder, device="cpu")


def _read_table(path: Path) -> None:
    refusal = None
    try:
        read_rows(path.parent)
    except InputError as error:
        refusal = error
    field = as_field(read_scores(path, "mine"), path)
    json.dumps(as_document(rank(field, 10)), allow_nan=False)
    if refusal and "structure" in path.read_text(encoding="utf-8-sig").lower().splitlines()[0]:
        raise refusal


def _read_archive(path: Path) -> None:
    for check in (check_image_archive, check_weights_archive):
        report = Report("x")
        check(path, report)
        report.as_text()
        json.dumps(report.as_document(), allow_nan=False)
