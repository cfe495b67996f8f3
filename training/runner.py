"""The chain of stages: what each needs, what is done and unchanged, what a stage leaves behind.

A stage's folder holds, from its start, `config.json` (its sections of the configuration, seed, code version, hashes of
its inputs, fingerprint), and `stage.json`, written last. A stage whose fingerprint is that of its `stage.json` is
skipped; one that was started with the same fingerprint is resumed; any other folder of that name is moved to `old/`
first, after all that the stage reads was looked at.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from training import status
from training.config import RunConfig, stages_of
from training.data.raw_cases import KnownCases, data_dir, find_cases, known_cases
from training.disk_space import shortage
from training.fingerprint import KeyRules, differences, extending_keys, fingerprint_of
from training.gan.ranks import from_leader, leads
from training.run_folder import (
    DATA,
    FINISHED,
    OTHERS,
    REPORT,
    STARTED,
    altered_output,
    check_age,
    discard_unfinished,
    last_checkpoint,
    other_files,
    read_record,
    set_aside,
    size_and_time,
    stage_record,
)
from training.stage_module import entry_of, parts_of, view_for
from training.stage_record import describe, is_started, needs_of, rules_for
from training.stage_table import PREPARE, Stage
from vestibule.editions import get_edition
from vestibule.errors import InputError
from vestibule.files import file_sha256, read_json, write_json
from vestibule.locks import claimed, claimed_part, locked
from vestibule.memory import memory_shortage
from vestibule.stopping import telling

logger = logging.getLogger(__name__)


def run_stages(
    config: RunConfig,
    run_dir: Path,
    data: Path | None = None,
    only: Stage | None = None,
    report: Callable[[str], None] = logger.info,
    named: dict[str, str] | None = None,
    part: str | None = None,
) -> None:
    """Run every stage of a configuration in order, or one of them; what is done and unchanged is skipped.

    Before the first of all, whatever one of them will refuse is refused.

    Args:
        config: The whole configuration.
        run_dir: Folder of the run; it is made.
        data: Folder with the challenge's training folders, which the run keeps in mind; None: as it has been told.
        only: The one stage to run; None: all.
        report: Called with a line on what happens.
        named: Folders within `data` by role, before those that the configuration names.
        part: The one part of `only` to make; None: all of it.

    Raises:
        InputError: The configuration and the data do not go together, or a stage that is needed is missing.
    """
    keep_in_mind(data, named or {}, config, run_dir)
    stages = stages_of(config)
    if only is None:
        from_leader(lambda: check_run(config, run_dir))
        from_leader(lambda: plan_status(config, run_dir))
    elif only in stages:
        stages = [only]
    else:
        names = ", ".join(stage.name for stage in stages)
        raise InputError(f"{config.name}: asks for no stage {only.name!r}; it has {names}")

    for stage in stages:
        if part is None:
            run_stage(stage, config, run_dir, report)
        else:
            run_part(stage, part, config, run_dir, report)


def plan_status(config: RunConfig, run_dir: Path) -> None:
    """Note in the run's status which stages it is to have."""
    needs = {}
    for stage in stages_of(config):
        needs[stage.name] = [needed.name for needed in needs_of(stage, config)]
    status.plan(run_dir, needs)


def keep_in_mind(data: Path | None, named: dict[str, str], config: RunConfig, run_dir: Path) -> None:
    """Make a run's folder, and keep in it where the data lies where that is told; arguments as of `run_stages`."""
    run_dir.mkdir(parents=True, exist_ok=True)
    folders = config.folders.named | named
    if data or folders:
        _keep_data(data, folders, config, run_dir)


def _keep_data(data: Path | None, folders: dict[str, str], config: RunConfig, run_dir: Path) -> None:
    """Keep where the data lies, and what its folders are called where they are named."""
    if config.phantom:
        raise InputError(
            f"{config.name}: makes its own phantoms; --data and --folder are for configurations without 'phantom'"
        )
    if data is None:
        # As the run has been told before; the names of folders may be new.
        data = data_dir(config, run_dir)
    if not data.is_dir():
        raise InputError(f"{data}: no such folder; --data names the folder with the challenge's training folders")
    from_leader(lambda: _write_data(data, folders, config, run_dir))


def _write_data(data: Path, folders: dict[str, str], config: RunConfig, run_dir: Path) -> None:
    # A folder that is not the data's must not take the place of the one that the run knows.
    find_cases(data, get_edition(config.edition), folders)
    content: dict = {"data": str(data.resolve())}
    if folders:
        content["folders"] = folders
    if read_json(run_dir / DATA) == content:
        return
    # Not under a process that prepares what the run has known so far.
    with claimed(PREPARE.folder(run_dir)):
        write_json(run_dir / DATA, content)


def check_run(config: RunConfig, run_dir: Path) -> None:
    """Raise InputError that names all that the stages of `config` will refuse, as far as can be told beforehand."""
    check_age(run_dir)
    check_known(config, known_cases(config, run_dir))


def check_known(config: RunConfig, known: KnownCases) -> None:
    """Raise InputError that names all that the stages of `config` will refuse of the cases that are known."""
    faults: list[str] = []
    for stage in stages_of(config):
        module, _ = entry_of(stage)
        if not hasattr(module, "check"):
            continue
        try:
            module.check(config, known)
        except InputError as fault:
            # Stages that share a precondition name it once.
            if str(fault) not in faults:
                faults.append(str(fault))
    if faults:
        raise InputError("; ".join(faults))


def run_stage(stage: Stage, config: RunConfig, run_dir: Path, report: Callable[[str], None] = logger.info) -> bool:
    """Run one stage, or skip it where it is done and unchanged.

    Args:
        stage: A row of the table.
        config: The whole configuration; the stage is given what its row names.
        run_dir: Folder of the run.
        report: Called with a line on what happens.

    Returns:
        Whether it ran.

    Raises:
        InputError: A stage that it needs is missing or its outputs were altered, the data cannot be found, or the run
            was begun by an earlier version.
    """
    with ExitStack() as claims:
        return _run_claimed(stage, config, run_dir, report, claims)


def _run_claimed(
    stage: Stage, config: RunConfig, run_dir: Path, report: Callable[[str], None], claims: ExitStack
) -> bool:
    """`run_stage`, with the stage's folder claimed until `claims` is closed."""
    check_age(run_dir)

    def begin_alone() -> dict | None:
        claims.enter_context(claimed(stage.folder(run_dir)))
        record = _begin(stage, config, run_dir, report)
        if record is not None:
            status.begin(run_dir, stage.name)
            warning = shortage(stage, config, run_dir)
            if warning:
                status.warn(run_dir, stage.name, warning)
        return record

    record = from_leader(begin_alone)
    if record is None:
        return False

    begin = time.monotonic()
    _, entry = entry_of(stage)
    view = view_for(stage, config)
    run = partial(entry, view, run_dir)
    with ExitStack() as watching:
        if leads():
            watching.enter_context(status.followed(run_dir, stage.name))
        watching.enter_context(telling(partial(_what_is_kept, stage, run_dir)))
        watching.enter_context(_memory_in_words(stage, run_dir))
        outputs = run() if stage.shared else from_leader(run)
    seconds = round(time.monotonic() - begin, 1)

    from_leader(lambda: _finish(stage, record, outputs, seconds, run_dir))
    from_leader(lambda: _inspect(stage, view, run_dir))
    if leads():
        told = stage.folder(run_dir) / REPORT
        if told.is_file():
            report(told.read_text(encoding="utf-8").rstrip("\n"))
        report(f"{stage.name}: done in {seconds:.0f} s")
    return True


def run_part(
    stage: Stage, name: str, config: RunConfig, run_dir: Path, report: Callable[[str], None] = logger.info
) -> bool:
    """Make one part of a stage, while other processes may make other parts of it.

    Args:
        stage: A row of the table.
        name: Name of the part, among those that the stage's module tells.
        config: The whole configuration; the stage is given what its row names.
        run_dir: Folder of the run.
        report: Called with a line on what happens.

    Returns:
        Whether it was made; not where the stage is done and unchanged.

    Raises:
        InputError: The stage has no such part, another process is making it or the whole stage, or something that it
            needs is missing.
    """
    check_age(run_dir)
    known = [part.name for layer in parts_of(stage, config) for part in layer]
    if name not in known:
        told = f"parts of stage {stage.name!r} here: {', '.join(known)}" if known else f"{stage.name!r} has no parts"
        raise InputError(f"{config.name}: --part {name}: no such part; {told}")

    folder = stage.folder(run_dir)
    # Of several parts that begin at once, one makes the folder ready.
    with locked(run_dir / f"begin-{stage.name}"):
        if not is_started(stage, config, run_dir):
            with claimed(folder):
                if _begin(stage, config, run_dir, report) is None:
                    return False

    with claimed_part(folder, name):
        status.begin(run_dir, stage.name, name)
        begin = time.monotonic()
        module, _ = entry_of(stage)
        kept = partial(_what_is_kept, stage, run_dir)
        with status.followed(run_dir, stage.name, name), telling(kept), _memory_in_words(stage, run_dir):
            module.make_part(view_for(stage, config), run_dir, name)
        seconds = round(time.monotonic() - begin, 1)
        status.end(run_dir, stage.name, name, seconds)
    report(f"{stage.name}, {name}: done in {seconds:.0f} s")
    return True


def _inspect(stage: Stage, view: object, run_dir: Path) -> None:
    """Warn of what a stage that is done finds in its own result, where it looks."""
    module, _ = entry_of(stage)
    inspect = getattr(module, "inspect", None)
    if inspect is None:
        return
    for text in inspect(view, run_dir):
        status.warn(run_dir, stage.name, text)


@contextmanager
def _memory_in_words(stage: Stage, run_dir: Path) -> Iterator[None]:
    """A block in which a lack of memory becomes an InputError that says what a stage goes on from."""
    try:
        yield
    except Exception as error:
        lacking = memory_shortage(error)
        if lacking is None:
            raise
        raise InputError(f"{stage.name}: {lacking}; {_what_is_kept(stage, run_dir)}") from error


def _what_is_kept(stage: Stage, run_dir: Path) -> str:
    """What a stage that is stopped now would go on from, in words."""
    checkpoint = last_checkpoint(stage.folder(run_dir))
    if checkpoint is None:
        return f"stage {stage.name!r} had written no checkpoint, finished stages are kept"
    return f"stage {stage.name!r} goes on from {checkpoint}"


def _begin(stage: Stage, config: RunConfig, run_dir: Path, report: Callable[[str], None]) -> dict | None:
    """Make the stage's folder ready; what `config.json` holds, or None where the stage is done."""
    folder = stage.folder(run_dir)
    rules = rules_for(stage, config)
    record = describe(stage, config, run_dir)
    fingerprint = record["fingerprint"]
    # Of records of earlier versions, too, so that a key that became harmless makes nothing again.
    done = stage_record(folder / FINISHED)
    if done and fingerprint_of(done, rules) == fingerprint:
        altered = altered_output(folder, done)
        if altered is None:
            report(f"{stage.name}: done and unchanged, skipped")
            return None
        report(f"{stage.name}: made again, since {altered}")

    if stage.needs is None:
        _verify_inputs(stage, config, run_dir)
    _make_room(stage, record, rules, extending_keys(config, stage.name), run_dir, report)
    discard_unfinished(folder)
    (folder / FINISHED).unlink(missing_ok=True)
    report(f"{stage.name}: {stage.title}")
    return record


def _make_room(
    stage: Stage,
    record: dict,
    rules: KeyRules,
    extending: set[str],
    run_dir: Path,
    report: Callable[[str], None],
) -> None:
    """Make the stage's folder hold its record, and nothing that something else than `record` tells has made.

    Args:
        stage: What is about to run.
        record: What it is to be made from.
        rules: Which keys do not change what it leaves.
        extending: Keys of which another value leaves what it has made as it is.
        run_dir: Folder of the run.
        report: Called with a line on what happens.
    """
    folder = stage.folder(run_dir)
    started = stage_record(folder / STARTED)
    if started and fingerprint_of(started, rules) == record["fingerprint"]:
        return
    wider = rules.without(extending)
    if started and fingerprint_of(started, wider) == fingerprint_of(record, wider):
        report(f"{stage.name}: goes on, since {differences(started, record, rules)}; what is made already stays")
        write_json(folder / STARTED, record)
        return

    # What another configuration left must not be taken for this one's checkpoints.
    kept = set_aside(folder, run_dir)
    status.start_over(run_dir, stage.name)
    if kept:
        why = f"since {differences(started, record, rules)}; " if started else ""
        report(f"{stage.name}: made again, {why}what was there is now in {kept}")
    folder.mkdir(parents=True)
    write_json(folder / STARTED, record)


def _verify_inputs(stage: Stage, config: RunConfig, run_dir: Path) -> None:
    """Raise InputError where a byte of what the stage reads is not as it was written; that stage is then not done."""
    for needed in needs_of(stage, config):
        folder = needed.folder(run_dir)
        altered = altered_output(folder, read_record(run_dir, needed), by_hash=True)
        if altered:
            (folder / FINISHED).unlink()
            raise InputError(
                f"{altered}; the next run makes stage {needed.name!r} again. Stages that have read the file since it "
                "was altered are to be made again, too: delete their folders"
            )


def _finish(stage: Stage, record: dict, outputs: list[Path], seconds: float, run_dir: Path) -> None:
    folder = stage.folder(run_dir)
    hashes = {}
    files = {}
    for path in sorted(outputs):
        name = str(path.relative_to(folder))
        hashes[name] = file_sha256(path)
        files[name] = size_and_time(path)
    now = datetime.now(UTC)
    finished = {
        **record,
        "seconds": seconds,
        "finished": now.isoformat(timespec="seconds"),
        "outputs": hashes,
        "files": files,
        OTHERS: other_files(folder, set(hashes)),
    }
    write_json(folder / FINISHED, finished)
    status.end(run_dir, stage.name)
