import importlib
import json

import pytest

from training.importing.collection import OpenCollection
from training.importing.tcia_vs_seg import COLLECTION


@pytest.fixture
def benchmark(repository, monkeypatch):
    """studies/open_benchmark.py, as `python studies/...` finds it."""
    monkeypatch.syspath_prepend(repository / "studies")
    return importlib.import_module("open_benchmark")


def test_the_list_is_what_the_split_makes_of_the_published_patients(benchmark):
    rows = benchmark.read_list(benchmark.LIST)
    planned = benchmark.planned()
    assert [(row["case"], row["part"]) for row in rows] == [(row["case"], row["part"]) for row in planned]
    parts = [row["part"] for row in rows]
    assert [parts.count(part) for part in ("source", "target", "validation")] == [105, 105, 32]


def test_the_collection_has_242_patients_and_lacks_those_that_were_withdrawn():
    assert len(COLLECTION.published) == 242
    assert "VS-SEG-168" not in COLLECTION.published
    assert COLLECTION.published[-1] == "VS-SEG-250"


def write_import(folder, rows, benchmark, collection=COLLECTION.title):
    folder.mkdir()
    (folder / "import.json").write_text(json.dumps({"collection": collection}))
    (folder / "cases.csv").write_text(benchmark.as_text(rows))
    return folder


@pytest.fixture
def whole(benchmark):
    """The rows of an import of the whole collection, with stand-ins for hashes."""
    rows = []
    for number, row in enumerate(benchmark.planned()):
        rows.append(row | {"file": f"{row['case']}.nii.gz", "sha256": f"{number:064x}"})
    return rows


def check(benchmark, monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["open_benchmark", *map(str, arguments)])
    try:
        benchmark.main()
    except SystemExit as stop:
        return str(stop.code)
    return ""


def test_an_import_of_the_whole_collection_is_the_benchmark(benchmark, whole, tmp_path, monkeypatch, capsys):
    folder = write_import(tmp_path / "out", whole, benchmark)
    assert check(benchmark, monkeypatch, "--check", folder) == ""
    assert "is the open benchmark: 242 cases, 242 files" in capsys.readouterr().out
    assert check(benchmark, monkeypatch, "--hashes", folder) == ""
    assert capsys.readouterr().out == benchmark.as_text(whole)


def test_an_import_that_is_not_the_benchmark_is_refused(benchmark, whole, tmp_path, monkeypatch):
    folder = write_import(tmp_path / "out", whole[1:], benchmark)
    assert "1 differences, the first: vs-seg-001 is missing" in check(benchmark, monkeypatch, "--hashes", folder)
    other = write_import(tmp_path / "other", whole, benchmark, "something else")
    assert "expected a data set that was imported from" in check(benchmark, monkeypatch, "--check", other)


def test_other_parts_cases_and_bytes_are_told(benchmark, whole):
    found = [dict(row) for row in whole]
    found[0]["part"] = "validation"
    found[1]["sha256"] = "0" * 64
    found[2]["case"] = "vs-seg-999"
    told = benchmark.compared(found, whole)
    assert told == [
        f"vs-seg-001 is not in {whole[0]['part']}",
        "vs-seg-003 is missing",
        "vs-seg-999 is not in the list",
        "vs-seg-002.nii.gz has other bytes than in the list, or is missing",
    ]


def test_a_download_in_part_is_told(tmp_path):
    collection = OpenCollection("Open", "A-", published=("A-001", "A-002", "A-003"))
    for name in ("A-001", "a-3", "A-007"):
        (tmp_path / name).mkdir()
    folders = collection.patient_folders(tmp_path)
    assert [folder.name for folder in folders] == ["A-001", "a-3", "A-007"]
    # Folders are compared as they are called: `a-3` is not how the collection calls it.
    assert collection.difference(folders) == (
        "2 of its 3 patients are not here (a-002, a-003); 2 are not among its 3 patients (a-007, a-3)"
    )
    assert collection.difference([tmp_path / name for name in collection.published]) is None
