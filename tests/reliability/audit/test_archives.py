"""Boundary: archives. Nothing of an image or a bundle that is looked at may fill the memory or never end.

Zips of masks, with their paths, links and bombs, are in tests/contract/test_predictions.py.
"""

import gzip
import io
import tarfile
import time

import pytest

from contract.archive import BoundedGzip, check_image_archive, check_weights_archive
from contract.report import Report
from vestibule.errors import InputError

BLOCK = 512


def packed(path, *headers):
    """An archive of tar headers and nothing behind them but zeros."""
    with gzip.open(path, "wb") as stream:
        for header in headers:
            stream.write(header + bytes(BLOCK))
        stream.write(bytes(4 * BLOCK))
    return path


def header_of(name="a", size=0, kind=tarfile.REGTYPE):
    """A tar header that says so."""
    member = tarfile.TarInfo(name)
    member.size, member.type = size, kind
    return member.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize("look", [check_image_archive, check_weights_archive])
@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE])
def test_name_of_gigabytes_is_not_read_into_memory(tmp_path, look, kind):
    path = packed(tmp_path / "x.tar.gz", header_of(size=3 << 30, kind=kind))
    with pytest.raises(InputError, match=r"x\.tar\.gz: not a whole .*text of 3221225472 bytes"):
        look(path, Report("x"))


@pytest.mark.parametrize("look", [check_image_archive, check_weights_archive])
def test_file_with_holes_is_refused(tmp_path, look):
    path = packed(tmp_path / "x.tar.gz", header_of(kind=tarfile.GNUTYPE_SPARSE))
    with pytest.raises(InputError, match="a file with holes"):
        look(path, Report("x"))


@pytest.mark.parametrize("look", [check_image_archive, check_weights_archive])
@pytest.mark.parametrize("size", [1 << 35, 10**18])
def test_member_whose_size_is_not_true_is_not_sought_without_end(tmp_path, look, size):
    begin = time.process_time()
    with pytest.raises(InputError, match=r"x\.tar\.gz: "):
        look(packed(tmp_path / "x.tar.gz", header_of(size=size), header_of("b")), Report("x"))
    assert time.process_time() - begin < 5


def test_archive_that_unpacks_without_end_is_not_read_to_it():
    stream = BoundedGzip(fileobj=io.BytesIO(gzip.compress(bytes(10_000))), mode="rb")
    assert len(stream.read(4_000)) == 4_000
    stream.left = 5_000
    assert len(stream.read(5_000)) == 5_000
    with pytest.raises(OSError, match="unpacks to more than"):
        stream.read(1_000)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_bundle_with_a_link_or_a_device_fails(tmp_path, kind):
    report = Report("x")
    check_weights_archive(packed(tmp_path / "x.tar.gz", header_of("weights.safetensors", kind=kind)), report)
    assert report.status_of("plain files") == "failed"


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x"])
def test_bundle_with_a_path_out_of_its_folder_fails(tmp_path, name):
    report = Report("x")
    check_weights_archive(packed(tmp_path / "x.tar.gz", header_of(name)), report)
    assert report.status_of("plain files") == "failed"
