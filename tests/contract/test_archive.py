"""Archives to upload: what would be refused is named before the upload."""

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from contract.archive import check_image_archive, check_weights_archive
from contract.report import FAILED, PASSED, Report
from vestibule.errors import InputError

GOOD = {
    "architecture": "amd64",
    "os": "linux",
    "config": {"User": "1000:1000", "Entrypoint": ["python3", "process.py"], "Labels": {}},
}
CONFIG_NAME = "0" * 64 + ".json"


def image_archive(path: Path, config: dict = GOOD, images: int = 1, layers: tuple[str, ...] = ("a/layer.tar",)) -> Path:
    entry = {"Config": CONFIG_NAME, "RepoTags": ["x:latest"], "Layers": ["a/layer.tar"]}
    members = {"manifest.json": json.dumps([entry] * images), CONFIG_NAME: json.dumps(config)}
    return tar_of(path, members | dict.fromkeys(layers, "layer"))


def tar_of(path: Path, members: dict[str, str]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content.encode()))
    return path


def with_run(**changes) -> dict:
    return GOOD | {"config": GOOD["config"] | changes}


def checked(path: Path) -> Report:
    report = Report("test")
    check_image_archive(path, report)
    return report


def test_a_good_archive_passes_every_point(tmp_path):
    report = checked(image_archive(tmp_path / "x.tar.gz"))
    assert report.failures == []
    assert {finding.status for finding in report.findings} == {PASSED}


@pytest.mark.parametrize(
    ("config", "point"),
    [
        (GOOD | {"architecture": "arm64"}, "platform"),
        (with_run(User=""), "non-root user"),
        (with_run(User="root"), "non-root user"),
        (with_run(User="0:1000"), "non-root user"),
        (with_run(User="root:root"), "non-root user"),
        (with_run(Entrypoint=["/bin/sh", "-c", "python3 process.py"]), "entry point"),
        (with_run(Entrypoint=None), "entry point"),
        (with_run(Labels={"org.grand-challenge.api-method": "serve"}), "call style"),
    ],
)
def test_a_configuration_that_the_platform_refuses_fails_its_point_alone(tmp_path, config, point):
    report = checked(image_archive(tmp_path / "x.tar.gz", config))
    assert [finding.point for finding in report.failures] == [point]
    assert report.failures[0].remedy


@pytest.mark.parametrize("odd", [[1], "x", 7, {"a": [1]}, None, True])
def test_a_configuration_of_another_form_fails_points_and_nothing_else(tmp_path, odd):
    assert checked(image_archive(tmp_path / "x.tar.gz", GOOD | {"config": odd})).failures
    for key in ("Entrypoint", "Cmd", "Labels", "User"):
        checked(image_archive(tmp_path / "x.tar.gz", with_run(**{key: odd})))
    tar_of(tmp_path / "x.tar.gz", {"manifest.json": json.dumps([{"Config": odd, "Layers": odd}])})
    assert checked(tmp_path / "x.tar.gz").failures


@pytest.mark.parametrize("odd", [[1], "x", 7, None])
def test_a_manifest_of_another_form_is_no_bundle(tmp_path, odd):
    for manifest in (odd, {"files": odd}, {"files": {"a.json": odd}}):
        report = Report("test")
        check_weights_archive(tar_of(tmp_path / "x.tar.gz", {"manifest.json": json.dumps(manifest)}), report)
        assert report.failures


def test_an_archive_that_ends_within_a_member_is_named_as_damaged(tmp_path):
    whole = gzip.decompress(image_archive(tmp_path / "x.tar.gz").read_bytes())
    (tmp_path / "x.tar.gz").write_bytes(gzip.compress(whole[:550]))
    for check in (check_image_archive, check_weights_archive):
        with pytest.raises(InputError, match=r"not a whole \.tar\.gz"):
            check(tmp_path / "x.tar.gz", Report("test"))


def test_two_images_in_one_archive_fail(tmp_path):
    assert checked(image_archive(tmp_path / "x.tar.gz", images=2)).status_of("one image") == FAILED


def test_a_missing_layer_fails(tmp_path):
    assert checked(image_archive(tmp_path / "x.tar.gz", layers=())).status_of("whole archive") == FAILED


def test_an_archive_that_ends_early_is_named(tmp_path):
    path = image_archive(tmp_path / "x.tar.gz")
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match=r"x\.tar\.gz: not a whole"):
        checked(path)


def test_a_20_byte_archive_of_a_failed_save_is_named(tmp_path):
    (tmp_path / "x.tar.gz").write_bytes(gzip.compress(b"", mtime=0))
    with pytest.raises(InputError, match="not a whole"):
        checked(tmp_path / "x.tar.gz")


def bundle_members(content: str = "tensors") -> dict[str, str]:
    digest = hashlib.sha256(b"tensors").hexdigest()
    return {"./manifest.json": json.dumps({"files": {"a.safetensors": {"sha256": digest}}}), "./a.safetensors": content}


@pytest.mark.parametrize(
    ("members", "failed"),
    [
        (bundle_members(), []),
        (bundle_members("altered"), ["bundle"]),
        ({f"phantom/{name}": content for name, content in bundle_members().items()}, ["bundle"]),
        (bundle_members() | {"../outside": "x"}, ["plain files"]),
    ],
)
def test_a_bundle_is_whole_with_its_manifest_at_the_top(tmp_path, members, failed):
    report = Report("test")
    check_weights_archive(tar_of(tmp_path / "model.tar.gz", members), report)
    assert [finding.point for finding in report.failures] == failed
