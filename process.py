"""The submission: segments what lies in /input and writes to /output, for Grand Challenge and for the organisers.

    python process.py [--input /input] [--output /output] [--weights BUNDLE] [--api auto|exec|invoke] [--require-gpu]

A Grand Challenge job (/input/images/<slug>/ with one image) gives /output/images/<slug>/<name>.mha and
/output/results.json; a flat folder of cases gives one mask a case, named as its edition has it, right in /output.
Exit codes: 0 done, 1 failed (last line on stderr: file and cause), 2 wrong usage.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
import SimpleITK as sitk
from evalutils import SegmentationAlgorithm
from pandas import DataFrame

from vestibule.cli import main
from vestibule.commands.options import edition_option
from vestibule.commands.predict import load_announced
from vestibule.editions import Edition
from vestibule.errors import InputError
from vestibule.files import write_json
from vestibule.inputs import (
    PLATFORM_RESULTS,
    Case,
    Selection,
    find_cases,
    find_platform_case,
    is_platform_job,
    prepare_output,
)
from vestibule.predict import Outcome, edition_for, failure_message, predict_cases
from vestibule.serve import api_option, serve, serves
from vestibule.volume import from_image, to_image
from vestibule.weights import find_bundle, open_bundle

if TYPE_CHECKING:
    from vestibule.pipeline import Model


class Submission(SegmentationAlgorithm):
    """Segments the cases it is given. Every failed case is kept in `outcome`; the others get their masks.

    evalutils would read every file under its input folder twice, skip broken ones with a log line, refuse two equal
    images and turn each into a SimpleITK image without a name. Here it keeps its part, which is the order of an
    algorithm's steps and its results; the cases are found beforehand, and `predict_cases` reads, segments and writes
    them as `vestibule predict` does.
    """

    def __init__(
        self, model: Model, cases: tuple[Case, ...], edition: Edition, output_dir: Path, results: bool
    ) -> None:
        """Make a submission that runs when `process` is called.

        Args:
            model: Its `run` gives a volume's mask.
            cases: Images and the places of their masks, all under `output_dir`.
            edition: Whose labels the masks carry.
            output_dir: Folder of all that is written.
            results: Whether a results.json is asked for in `output_dir`.
        """
        super().__init__(
            file_loaders={},
            validators={},
            output_path=output_dir,
            output_file=output_dir / PLATFORM_RESULTS if results else None,
        )
        self._model = model
        self._selected = cases
        self._edition = edition
        self.outcome = Outcome()

    def load(self) -> None:
        """List the cases without opening them."""
        paths = [case.image_path for case in self._selected]
        self._cases = {self._index_key: DataFrame({"path": paths})}

    def process_cases(self, file_loader_key: str | None = None) -> None:
        """Segment every case and note what became of it as evalutils' results have it."""
        self.outcome = predict_cases(self._model.run, self._selected, self._edition, self._note)

    def predict(self, *, input_image: sitk.Image) -> sitk.Image:
        """The uint8 mask of a T2 image, on its grid: evalutils' own way in, which `process_cases` goes past."""
        return to_image(self._model.run(from_image(input_image)))

    def save(self) -> None:
        """Write the results where they are asked for, whole or not at all."""
        if self._output_file is not None:
            write_json(self._output_file, self._case_results)

    def _note(self, case: Case, failure: str | None, warnings: tuple[str, ...]) -> None:
        """Tell what became of a case, and add it to the results."""
        click.echo(f"{case.name}: {failure or 'done'}", err=failure is not None)
        mask_name = str(case.mask_path.relative_to(self._output_path))
        mask = {"type": "metaio_image", "filename": mask_name}
        image = {"type": "metaio_image", "filename": case.image_path.name}
        result = {
            "outputs": [] if failure else [mask],
            "inputs": [image],
            "error_messages": [failure] if failure else [],
        }
        # evalutils has no such key; readers of its results see it only where there is something to say.
        if warnings:
            result["warnings"] = list(warnings)
        self._case_results.append(result)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--input", "input_dir", type=click.Path(path_type=Path), default="/input", envvar="VESTIBULE_INPUT")
@click.option("--output", "output_dir", type=click.Path(path_type=Path), default="/output", envvar="VESTIBULE_OUTPUT")
@click.option(
    "--weights", type=click.Path(path_type=Path), help="Bundle of weights; else $VESTIBULE_WEIGHTS, the image's."
)
@click.option("--arm", envvar="VESTIBULE_ARM", help="Which of the bundle's networks to use.")
@edition_option("Names of a flat folder's masks; by default the bundle's.", envvar="VESTIBULE_EDITION")
@click.option(
    "--output-slug",
    default="generic-overlay",
    show_default=True,
    envvar="VESTIBULE_OUTPUT_SLUG",
    help="Folder of the mask under /output/images in a Grand Challenge job.",
)
@api_option("exec", "Segment and exit; or serve the platform's /invoke on port 4743.")
@click.option("--require-gpu", is_flag=True, envvar="VESTIBULE_REQUIRE_GPU", help="Fail where there is no GPU.")
def process(
    input_dir: Path,
    output_dir: Path,
    weights: Path | None,
    arm: str | None,
    edition: Edition | None,
    output_slug: str,
    api: str,
    require_gpu: bool,
) -> None:
    """Segment what lies in /input and write the masks to /output, as the folder's contract has it."""
    own_folder = Path(__file__).resolve().parent
    bundle = open_bundle(find_bundle(weights, root=own_folder))
    chosen = edition_for(bundle, edition)
    device = "cuda" if require_gpu else "auto"

    if not serves(api, input_dir):
        # The cases first: where there are none, that is told without waiting for the weights.
        selection = select_cases(input_dir, output_dir, chosen, output_slug)
        model = load_announced(bundle, arm, device)
        segment(model, selection, chosen, output_dir, is_platform_job(input_dir))
        return

    model = load_announced(bundle, arm, device)
    written: list[Path] = []

    def invoke() -> None:
        # Exactly one mask may lie in the output's folder: the last job's goes.
        while written:
            written.pop().unlink(missing_ok=True)
        selection = select_cases(input_dir, output_dir, chosen, output_slug)
        for case in selection.cases:
            written.append(case.mask_path)
        segment(model, selection, chosen, output_dir, is_platform_job(input_dir))

    def report(failure: str) -> None:
        click.echo(f"vestibule: error: {failure}", err=True)

    serve(invoke, report)


def select_cases(input_dir: Path, output_dir: Path, edition: Edition, output_slug: str) -> Selection:
    """What there is to segment in either layout; the output's folder is made. Raises InputError where nothing is."""
    if is_platform_job(input_dir):
        case = find_platform_case(input_dir, output_dir, output_slug)
        selection = Selection((case,))
    else:
        selection = find_cases(input_dir, output_dir, edition)
    prepare_output(output_dir)
    return selection


def segment(model: Model, selection: Selection, edition: Edition, output_dir: Path, results: bool) -> None:
    """Write the masks of a selection.

    Args:
        model: Its `run` gives a volume's mask.
        selection: What there is to segment.
        edition: Whose labels the masks carry.
        output_dir: Where everything goes.
        results: Whether to write a results.json too: the organisers expect masks alone in a flat folder.

    Raises:
        InputError: A case failed; the others have their masks.
    """
    submission = Submission(model, selection.cases, edition, output_dir, results)
    submission.process()

    failures = [failure for _, failure in submission.outcome.failures]
    failures.extend(selection.refused)
    total = len(selection.cases) + len(selection.refused)
    if failures:
        raise InputError(failure_message(failures, total))


if __name__ == "__main__":
    main(process)
