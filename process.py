"""The submission: segments what lies in /input and writes to /output, for Grand Challenge and for the organisers.

    python process.py [--input /input] [--output /output] [--weights BUNDLE] [--api exec|invoke] [--require-gpu]

A Grand Challenge job (/input/images/<slug>/ with one image) gives /output/images/<slug>/<name>.mha and
/output/results.json; a flat folder of cases gives one mask a case, named as its edition has it, right in /output.
Exit codes: 0 done, 1 failed (last line on stderr: file and cause), 2 wrong usage.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click
import SimpleITK as sitk
from evalutils import SegmentationAlgorithm
from pandas import DataFrame

from vestibule.cli import main
from vestibule.editions import EDITIONS, Edition
from vestibule.errors import InputError
from vestibule.inputs import (
    PLATFORM_RESULTS,
    Case,
    Selection,
    find_cases,
    find_platform_case,
    is_platform_job,
    prepare_output,
)
from vestibule.predict import Outcome, edition_for, failure_message, load_announced, predict_cases
from vestibule.serve import serve
from vestibule.volume import Volume, from_image, to_image
from vestibule.weights import find_bundle, open_bundle

if TYPE_CHECKING:
    from vestibule.pipeline import Model


class Submission(SegmentationAlgorithm):
    """Segments the cases it is given. Every failed case is kept in `outcome`; the others get their masks.

    evalutils would read every file under its input folder twice, skip broken ones with a log line and refuse two equal
    images; here the cases are found beforehand, and each is read once, by `predict_cases`.
    """

    def __init__(
        self, model: Model, cases: tuple[Case, ...], edition: Edition, output_dir: Path, results: bool
    ) -> None:
        """`model.run` gives a volume's mask; `results` asks for a results.json in `output_dir`."""
        results_path = output_dir / PLATFORM_RESULTS if results else None
        super().__init__(file_loaders={}, validators={}, output_path=output_dir, output_file=results_path)
        self._model = model
        self._selected = cases
        self._edition = edition
        self.outcome = Outcome()

    def load(self) -> None:
        """List the cases without opening them."""
        self._cases = {self._index_key: DataFrame({"path": [case.image_path for case in self._selected]})}

    def process_cases(self, file_loader_key: str | None = None) -> None:
        """Segment every case and note what became of it as evalutils' results have it."""
        self.outcome = predict_cases(self._run, self._selected, self._edition, self._note)

    def predict(self, *, input_image: sitk.Image) -> sitk.Image:
        """The uint8 mask of a T2 image, on its grid."""
        return to_image(self._model.run(from_image(input_image)))

    def save(self) -> None:
        """Write the results where they are asked for, whole or not at all."""
        path = self._output_file
        if path is None:
            return
        partial = path.with_name(f".{path.name}.partial")
        try:
            partial.write_text(json.dumps(self._case_results, allow_nan=False))
            os.replace(partial, path)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise InputError(f"{path}: cannot be written ({error.strerror})") from error

    def _run(self, volume: Volume) -> Volume:
        return from_image(self.predict(input_image=to_image(volume)))

    def _note(self, case: Case, failure: str | None) -> None:
        click.echo(f"{case.name}: {failure or 'done'}", err=failure is not None)
        mask = str(case.mask_path.relative_to(self._output_path))
        self._case_results.append(
            {
                "outputs": [] if failure else [{"type": "metaio_image", "filename": mask}],
                "inputs": [{"type": "metaio_image", "filename": case.image_path.name}],
                "error_messages": [failure] if failure else [],
            }
        )


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--input", "input_dir", type=click.Path(path_type=Path), default="/input", envvar="VESTIBULE_INPUT")
@click.option("--output", "output_dir", type=click.Path(path_type=Path), default="/output", envvar="VESTIBULE_OUTPUT")
@click.option(
    "--weights", type=click.Path(path_type=Path), help="Bundle of weights; else $VESTIBULE_WEIGHTS, the image's."
)
@click.option("--arm", envvar="VESTIBULE_ARM", help="Which of the bundle's networks to use.")
@click.option(
    "--edition",
    type=click.Choice([str(year) for year in EDITIONS]),
    envvar="VESTIBULE_EDITION",
    help="Names of a flat folder's masks; by default the bundle's.",
)
@click.option(
    "--output-slug",
    default="generic-overlay",
    show_default=True,
    envvar="VESTIBULE_OUTPUT_SLUG",
    help="Folder of the mask under /output/images in a Grand Challenge job.",
)
@click.option(
    "--api",
    type=click.Choice(["exec", "invoke"]),
    default="exec",
    envvar="VESTIBULE_API",
    help="Segment and exit, or serve the platform's /invoke on port 4743.",
)
@click.option("--require-gpu", is_flag=True, envvar="VESTIBULE_REQUIRE_GPU", help="Fail where there is no GPU.")
def process(
    input_dir: Path,
    output_dir: Path,
    weights: Path | None,
    arm: str | None,
    edition: str | None,
    output_slug: str,
    api: str,
    require_gpu: bool,
) -> None:
    """Segment what lies in /input and write the masks to /output, as the folder's contract has it."""
    bundle = open_bundle(find_bundle(weights, root=Path(__file__).resolve().parent))
    chosen = edition_for(bundle, None if edition is None else int(edition))
    device = "cuda" if require_gpu else "auto"
    if api == "invoke":
        model = load_announced(bundle, arm, device)
        written: list[Path] = []

        def invoke() -> None:
            # Exactly one mask may lie in the output's folder: the last job's goes.
            while written:
                written.pop().unlink(missing_ok=True)
            selection = select_cases(input_dir, output_dir, chosen, output_slug)
            written.extend(case.mask_path for case in selection.cases)
            segment(model, selection, chosen, output_dir, results=is_platform_job(input_dir))

        serve(invoke)
        return
    selection = select_cases(input_dir, output_dir, chosen, output_slug)
    model = load_announced(bundle, arm, device)
    # The organisers expect masks alone in a flat folder.
    segment(model, selection, chosen, output_dir, results=is_platform_job(input_dir))


def select_cases(input_dir: Path, output_dir: Path, edition: Edition, output_slug: str) -> Selection:
    """What there is to segment in either layout; the output's folder is made. Raises InputError where nothing is."""
    if is_platform_job(input_dir):
        selection = Selection((find_platform_case(input_dir, output_dir, output_slug),))
    else:
        selection = find_cases(input_dir, output_dir, edition)
    prepare_output(output_dir)
    return selection


def segment(model: Model, selection: Selection, edition: Edition, output_dir: Path, results: bool) -> None:
    """Write the masks of `selection`, and a results.json where asked for. Raises InputError where any case failed."""
    submission = Submission(model, selection.cases, edition, output_dir, results=results)
    submission.process()
    failures = [*(failure for _, failure in submission.outcome.failures), *selection.refused]
    if failures:
        raise InputError(failure_message(failures, len(selection.cases) + len(selection.refused)))


if __name__ == "__main__":
    main(process)
