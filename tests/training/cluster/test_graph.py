"""Which jobs there are, what each waits for, what is done, and what runs have in common."""

from dataclasses import replace

import pytest

from training import status
from training.cluster.graph import Run, build_graph
from training.cluster.links import make_links
from training.cluster.runs import CONFIG, make_ready, runs_of
from training.config import ResourcesConfig, read_config
from training.stage_record import record_of
from training.stage_table import CYCLEGAN, PHANTOM, PREPARE, SEGMENTER
from vestibule.errors import InputError
from vestibule.files import write_json


def run_in(root, config, name="run"):
    return Run(name, config, root / name)


def begin(run, stage, inputs=None):
    """Leave what a stage leaves when it begins."""
    write_json(stage.folder(run.folder) / "config.json", record_of(stage, run.config, inputs or {}))


def finish(run, stage, inputs=None):
    """Leave what a stage leaves when it is done, with no output at all."""
    begin(run, stage, inputs)
    record = record_of(stage, run.config, inputs or {})
    write_json(stage.folder(run.folder) / "stage.json", {**record, "outputs": {}, "files": {}, "seconds": 3.0})


def done_of(graph):
    return [job.name for job in graph.jobs.values() if job.is_done]


def test_folds_wait_for_what_they_share_and_the_stage_for_its_folds(phantom_config, tmp_path):
    jobs = build_graph([run_in(tmp_path, phantom_config)]).jobs
    assert jobs["run/prepare"].needs == ("run/phantom",)
    assert jobs["run/segmenter/plan"].needs == ("run/prepare",)
    for fold in ("run/segmenter/fold_0", "run/segmenter/fold_1"):
        assert jobs[fold].needs == ("run/segmenter/plan",)
    assert jobs["run/segmenter"].needs == ("run/segmenter/fold_0", "run/segmenter/fold_1")
    assert jobs["run/pix2pix"].needs == ("run/prepare", "run/cyclegan", "run/transfer")
    assert "run/segmenter" in jobs["run/export"].needs
    assert "run/segmenter/fold_0" not in jobs["run/export"].needs
    # Each stands behind what it needs.
    names = list(jobs)
    for job in jobs.values():
        assert all(names.index(needed) < names.index(job.name) for needed in job.needs)


def test_configurations_share_the_stages_that_they_have_in_common(phantom_config, tmp_path):
    other = replace(phantom_config, pix2pix=replace(phantom_config.pix2pix, iterations=9))
    first, second = run_in(tmp_path, phantom_config, "first"), run_in(tmp_path, other, "second")
    jobs = build_graph([first, second]).jobs
    assert "second/cyclegan" not in jobs
    assert "second/segmenter/fold_0" not in jobs
    assert jobs["second/pix2pix"].needs == ("first/prepare", "first/cyclegan", "first/transfer")
    # It finds them, and all that they were made from, in its own folder.
    linked = {place.name for place, made in jobs["second/pix2pix"].links}
    assert linked == {"phantom", "prepare", "cyclegan", "harmoniser", "transfer"}
    assert jobs["first/pix2pix"].links == ()


def test_seeds_share_nothing(phantom_config, tmp_path):
    runs = [run_in(tmp_path, replace(phantom_config, seed=seed), f"seed_{seed}") for seed in (0, 1)]
    jobs = build_graph(runs).jobs
    assert len(jobs) == 2 * len(build_graph(runs[:1]).jobs)


def test_key_that_changes_no_result_makes_no_job_of_its_own(phantom_config, tmp_path):
    other = replace(phantom_config, cyclegan=replace(phantom_config.cyclegan, checkpoint_every=1))
    jobs = build_graph([run_in(tmp_path, phantom_config, "a"), run_in(tmp_path, other, "b")]).jobs
    assert [name for name in jobs if name.startswith("b/")] == ["b/export"]


def test_done_stages_and_parts_are_left_out_until_something_changes(phantom_config, tmp_path):
    run = run_in(tmp_path, phantom_config)
    finish(run, PHANTOM)
    finish(run, PREPARE, {PHANTOM.name: {}})
    begin(run, SEGMENTER, {PREPARE.name: {}})
    status.begin(run.folder, SEGMENTER.name, "plan")
    status.end(run.folder, SEGMENTER.name, "plan", 2.0)
    graph = build_graph([run])
    assert [job.name for job in graph.jobs.values() if job.is_done] == [
        "run/phantom",
        "run/prepare",
        "run/segmenter/plan",
    ]
    assert graph.waits_for(graph.jobs["run/segmenter/fold_1"]) == []
    changed = replace(phantom_config, segmenter=replace(phantom_config.segmenter, epochs=3))
    later = build_graph([replace(run, config=changed)])
    assert [job.name for job in later.jobs.values() if job.is_done] == ["run/phantom", "run/prepare"]
    assert [job.is_done for job in build_graph([replace(run, config=replace(changed, seed=1))]).jobs.values()].count(
        True
    ) == 0


def test_what_another_run_has_done_already_is_not_made_again(phantom_config, tmp_path):
    other = replace(phantom_config, name="other")
    first, second = run_in(tmp_path, phantom_config, "first"), run_in(tmp_path, other, "second")
    finish(second, PHANTOM)
    jobs = build_graph([first, second]).jobs
    assert jobs["second/phantom"].is_done
    assert "first/phantom" not in jobs
    assert jobs["first/prepare"].links == ((first.folder / "phantom", second.folder / "phantom"),)


def test_linked_stage_is_its_owners_when_it_is_submitted_again(phantom_config, tmp_path):
    other = replace(phantom_config, name="other")
    first, second = run_in(tmp_path, phantom_config, "first"), run_in(tmp_path, other, "second")
    finish(second, PHANTOM)
    first.folder.mkdir()
    links = build_graph([first, second]).jobs["first/prepare"].links
    for _ in range(2):
        make_links(links)
    assert (first.folder / "phantom").is_symlink()
    jobs = build_graph([first, second]).jobs
    assert jobs["second/phantom"].is_done
    assert "first/phantom" not in jobs


def test_stage_that_a_link_is_to_replace_is_kept(tmp_path):
    place, made = tmp_path / "a" / "cyclegan", tmp_path / "b" / "cyclegan"
    place.mkdir(parents=True)
    made.mkdir(parents=True)
    (place / "state.pt").write_text("half a training")
    (made / "stage.json").write_text("{}")
    make_links([(place, made)])
    assert (place / "stage.json").is_file()
    assert [path.name for path in (tmp_path / "a" / "old").rglob("state.pt")] == ["state.pt"]


def test_resources_are_those_of_the_last_entry_that_names_the_stage(phantom_config, tmp_path):
    everything = ResourcesConfig(cpus=3)
    gpus = ResourcesConfig(stages=(CYCLEGAN.name, SEGMENTER.name), gpus=4)
    config = replace(phantom_config, resources=(everything, gpus))
    jobs = build_graph([run_in(tmp_path, config)]).jobs
    assert (jobs["run/prepare"].resources.gpus, jobs["run/prepare"].resources.cpus) == (0, 3)
    assert jobs["run/cyclegan"].resources.gpus == 4
    assert jobs["run/segmenter/fold_0"].resources.gpus == 4
    # Neither plans nor puts folds together on GPUs.
    assert jobs["run/segmenter/plan"].resources.gpus == 0
    assert jobs["run/segmenter"].resources.gpus == 0


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"stages": ("cyclegen",)}, "resources.stages must be among"),
        ({"options": ("qos=long",)}, "resources.options must be such as --qos=long"),
        ({"gpus": -1}, "gpus must not be negative"),
        ({"hours": 0.0}, "hours must be above 0"),
    ],
)
def test_wrong_resources_are_refused(entry, message):
    with pytest.raises(ValueError, match=message):
        ResourcesConfig(**entry)


def test_submitted_configuration_is_read_back_as_it_was(repository, tmp_path):
    tiny = repository / "tests" / "reliability" / "faults" / "tiny.yaml"
    resources = "resources:\n- {stages: [cyclegan], gpus: 2, options: [--qos=long]}\n"
    own = tmp_path / "own.yaml"
    own.write_text(tiny.read_text() + resources)
    runs = runs_of([own], [3, 4], tmp_path / "runs")
    assert [run.folder.name for run in runs] == ["own_seed_3", "own_seed_4"]
    make_ready(runs, None, {})
    for run in runs:
        assert read_config(run.folder / CONFIG) == run.config
    (alone,) = runs_of([own], [], tmp_path / "runs")
    assert (alone.name, alone.folder, alone.config.seed) == ("own", tmp_path / "runs", 0)
    with pytest.raises(InputError, match="another configuration or seed is called 'own' too"):
        runs_of([own, own], [], tmp_path / "runs")
