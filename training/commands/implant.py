"""`vestibule implant`: a real head with a simulated schwannoma and its label."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from training.commands.triple import Triple
from vestibule.commands.options import EditionType
from vestibule.editions import Edition, case_of_image
from vestibule.errors import InputError
from vestibule.logs import say

if TYPE_CHECKING:
    from training.implant.canals import Canal

logger = logging.getLogger(__name__)

FILE = click.Path(path_type=Path)
POINT = Triple(float, "x,y,z", example="21.5,4,-12")
VOLUME_MM3 = click.FloatRange(20, 20000)
CANAL_LENGTH_MM = (4.0, 25.0)
"""Lengths that a canal may have whose ends a user gives."""


@click.command()
@click.argument("image_path", metavar="IMAGE", type=FILE)
@click.argument("out_dir", metavar="OUT", type=FILE)
@click.option("--contrast", type=click.Choice(["T1", "T2"]), help="By default told from the file's name.")
@click.option("--side", type=click.Choice(["left", "right"]), default="left", show_default=True, help="The patient's.")
@click.option("--volume", "volume_mm3", type=VOLUME_MM3, help="In mm3.  [default: sampled, 44 to 9800]")
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same tumour.")
@click.option("--porus", type=POINT, help="Opening of the canal in patient mm (LPS); with --fundus.")
@click.option("--fundus", type=POINT, help="Blind end of the canal in patient mm (LPS).")
@click.option("--mirror", is_flag=True, help="--porus and --fundus are the other ear's; mirror them to this one.")
@click.option("--t2", "t2_path", type=FILE, help="T2 of the same head, to find a T1's canals on.")
@click.option("--sequence", type=click.Choice(["mprage", "spgr", "ciss", "tse"]), help="Contrast of the tumour.")
@click.option("--edition", default="2021", show_default=True, type=EditionType(), help="Labels.")
def implant(
    image_path: Path,
    out_dir: Path,
    contrast: str | None,
    side: str,
    volume_mm3: float | None,
    seed: int,
    porus: tuple[float, float, float] | None,
    fundus: tuple[float, float, float] | None,
    mirror: bool,
    t2_path: Path | None,
    sequence: str | None,
    edition: Edition,
) -> None:
    """Put a simulated schwannoma into the head IMAGE (T1 or T2) and write image and label to OUT.

    The canal is found on T2, or given by its two ends or the other ear's; a T1's is found on a T2 of the same head,
    aligned to it. Where the place is in doubt, a warning says why. Points are x,y,z in the patient's millimetres: x
    grows to the left, y to the back, z up. For tests and training in one's own scanner's look: such images are not the
    challenge's data.
    """
    # SciPy and SimpleITK take a while to import, which `--help` need not wait for.
    from training.implant.canals import locate_canal
    from training.implant.files import add_record, record, write_implanted
    from training.implant.lesion import implant as implant_tumour
    from training.phantom.tumour import sample_volume
    from vestibule.volume import read_scan

    contrast = contrast or _contrast_of(image_path)
    image = read_scan(image_path)
    given = _given_canal(porus, fundus, mirror)
    if given is None and contrast == "T1" and t2_path is None:
        advice = "name a T2 of the same head by --t2, or give --porus and --fundus, of the other ear with --mirror"
        raise click.UsageError(f"{image_path} is T1: {advice}")
    t2 = read_scan(t2_path) if t2_path is not None and given is None and contrast == "T1" else None

    canal = locate_canal(image, side, t2=t2, given=given, mirror=mirror)
    if canal.doubt:
        advice = "look at the result; the canal's two ends as you see them go to --porus and --fundus"
        logger.warning("%s: the canal may be wrong: %s; %s", image_path, canal.doubt, advice)

    rng = np.random.default_rng(seed)
    wanted_mm3 = volume_mm3 or sample_volume(rng)
    try:
        implanted, label, tumour = implant_tumour(image, canal, wanted_mm3, contrast, rng, sequence)
    except InputError as error:
        raise InputError(f"{image_path}: {error}") from error
    image_out, label_out = write_implanted(image_path, out_dir, implanted, label, edition)
    entry = record(image_path, canal, tumour, contrast, seed)
    add_record(out_dir, image_out.name, entry)
    say(f"{image_out}: {tumour.tumour_class} tumour of {tumour.volume_mm3:.0f} mm3, {entry['side']}; {label_out}")


def _contrast_of(path: Path) -> str:
    """The contrast that a file's name tells."""
    _, contrast = case_of_image(path)
    if contrast is None:
        raise click.UsageError(f"{path}: its name tells neither T1 nor T2; say --contrast")
    return contrast


def _given_canal(
    porus: tuple[float, float, float] | None, fundus: tuple[float, float, float] | None, mirror: bool
) -> Canal | None:
    """The canal whose ends the user gave; None where the user gave none."""
    from training.implant.canals import Canal

    if not porus and not fundus:
        if mirror:
            raise click.UsageError("--mirror needs the other ear's --porus and --fundus")
        return None
    if not porus or not fundus:
        raise click.UsageError("--porus and --fundus go together")
    canal = Canal(np.array(porus), np.array(fundus))
    shortest, longest = CANAL_LENGTH_MM
    if not shortest <= canal.length_mm <= longest:
        raise click.UsageError(
            f"the canal from --porus to --fundus is {canal.length_mm:.1f} mm long, not {shortest:g} to {longest:g}"
        )
    return canal
