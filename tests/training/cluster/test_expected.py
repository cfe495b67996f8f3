"""How long jobs are expected to take, from runs that have been made."""

import pytest

from training import status
from training.cluster.expected import expected_seconds
from training.cluster.graph import Run, build_graph
from training.stage_table import PREPARE, SEGMENTER
from vestibule.files import write_json


@pytest.fixture
def graph(phantom_config, tmp_path):
    return build_graph([Run("run", phantom_config, tmp_path / "run")])


def done_in(run_dir, stage, seconds):
    write_json(stage.folder(run_dir) / "stage.json", {"config": {}, "outputs": {}, "seconds": seconds})


def test_nothing_is_expected_of_what_was_never_made(graph):
    assert expected_seconds(graph) == {}


def test_stages_take_as_long_as_in_the_earlier_run_and_its_folds_share_their_stage(graph, tmp_path):
    done_in(tmp_path / "like", PREPARE, 7.0)
    done_in(tmp_path / "like", SEGMENTER, 60.0)
    assert expected_seconds(graph, [tmp_path / "like"]) == {
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
    found = expected_seconds(graph, [like])
    assert found["run/segmenter/plan"] == 5.0
    assert (found["run/segmenter/fold_0"], found["run/segmenter/fold_1"]) == (40.0, 20.0)
    assert found["run/segmenter"] == 1.0
