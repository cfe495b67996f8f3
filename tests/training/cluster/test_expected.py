"""How long jobs are expected to take, from runs that have been made."""

import pytest

from training import status
from training.cluster.expected import expected_disk, expected_seconds, known_by
from training.cluster.graph import Run, build_graph
from training.disk_space import expected_bytes
from training.stage_table import PIX2PIX, PREPARE, SEGMENTER, TRANSFER
from vestibule.errors import InputError
from vestibule.files import write_json


@pytest.fixture
def graph(phantom_config, tmp_path):
    return build_graph([Run("run", phantom_config, tmp_path / "run")])


def done_in(run_dir, stage, seconds):
    write_json(stage.folder(run_dir) / "stage.json", {"config": {}, "outputs": {}, "seconds": seconds})


def test_nothing_is_expected_of_what_was_never_made(graph):
    assert expected_seconds(graph, known_by(graph)) == {}


def test_stages_take_as_long_as_in_the_earlier_run_and_its_folds_share_their_stage(graph, tmp_path):
    done_in(tmp_path / "like", PREPARE, 7.0)
    done_in(tmp_path / "like", SEGMENTER, 60.0)
    assert expected_seconds(graph, known_by(graph, [tmp_path / "like"])) == {
        "run/prepare": 7.0,
        "run/segmenter/plan": 0.0,
        "run/segmenter/fold_0": 30.0,
        "run/segmenter/fold_1": 30.0,
        "run/segmenter": 0.0,
    }


def test_parts_take_as_long_as_the_parts_of_the_earlier_run(graph, tmp_path):
    like = tmp_path / "like"
    for part, seconds in (("plan", 5.0), ("fold_0", 40.0), ("fold_1", 20.0)):
        status.begin(like, SEGMENTER.name, part)
        status.end(like, SEGMENTER.name, part, seconds)
    done_in(like, SEGMENTER, 1.0)
    found = expected_seconds(graph, known_by(graph, [like]))
    assert found["run/segmenter/plan"] == 5.0
    assert (found["run/segmenter/fold_0"], found["run/segmenter/fold_1"]) == (40.0, 20.0)
    assert found["run/segmenter"] == 1.0


def rehearsed(path, *stages):
    keys = ("stage", "seconds", "disk_bytes")
    write_json(path, {"stages": [dict(zip(keys, stage, strict=True)) for stage in stages]})
    return path


def test_stages_take_what_a_rehearsal_expects_and_what_an_earlier_run_took_counts_before_it(graph, tmp_path):
    told = rehearsed(
        tmp_path / "rehearsal.json",
        ("prepare", 9.0, 2000),
        ("cyclegan", 500.0, 7000),
        ("segmenter", 80.0, 4000),
        ("pix2pix", None, None),
    )
    done_in(tmp_path / "like", PREPARE, 7.0)
    (PREPARE.folder(tmp_path / "like") / "case.npy").write_bytes(bytes(1000))
    of_record = (PREPARE.folder(tmp_path / "like") / "stage.json").stat().st_size
    known = known_by(graph, [tmp_path / "like", told])
    seconds = expected_seconds(graph, known)
    assert (seconds["run/prepare"], seconds["run/cyclegan"]) == (7.0, 500.0)
    # What trains shares what one process would take; the rest is little beside it.
    assert [seconds[f"run/segmenter/{part}"] for part in ("plan", "fold_0", "fold_1")] == [0.0, 40.0, 40.0]
    assert "run/pix2pix" not in seconds
    # Of the others the configuration tells.
    config = graph.jobs["run/prepare"].run.config
    rest = [expected_bytes(stage, config, tmp_path / "run") for stage in (TRANSFER, PIX2PIX)]
    assert expected_disk(graph, known) == 1000 + of_record + 7000 + 4000 + sum(rest)


def test_file_that_is_no_rehearsal_is_refused(graph, tmp_path):
    for content in ({"stages": [{"stage": "prepare"}]}, {"jobs": []}):
        path = tmp_path / "other.json"
        write_json(path, content)
        with pytest.raises(InputError, match=r"other\.json: is n.* rehears"):
            known_by(graph, [path])
    with pytest.raises(InputError, match="nowhere: is neither the folder of a run nor what"):
        known_by(graph, [tmp_path / "nowhere"])
