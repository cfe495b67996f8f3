"""`vestibule implant`: a real head with a simulated schwannoma and its label."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click
import numpy as np

from training.commands.phantom import Triple
from vestibule.editions import EDITIONS, Edition, case_of_image, get_edition
from vestibule.errors import InputError

RECORD = "implants.json"
"""What was put where, by image; it also tells a rules audit that these are not the challenge's data."""


@click.command()
@click.argument("image_path", metavar="IMAGE", type=click.Path(path_type=Path))
@click.argument("out_dir", metavar="OUT", type=click.Path(path_type=Path))
@click.option("--contrast", type=click.Choice(["T1", "T2"]), help="By default told from the file's name.")
@click.option("--side", type=click.Choice(["left", "right"]), default="left", show_default=True, help="The patient's.")
@click.option("--volume", "volume_mm3", type=click.FloatRange(20, 20000), help="In mm3.  [default: drawn, 44 to 9800]")
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same tumour.")
@click.option("--porus", type=Triple(float), help="Opening of the canal, x,y,z in patient mm (LPS); with --fundus.")
@click.option("--fundus", type=Triple(float), help="Blind end of the canal, x,y,z in patient mm (LPS).")
@click.option("--mirror", is_flag=True, help="--porus and --fundus are the other ear's; mirror them to this one.")
@click.option("--t2", "t2_path", type=click.Path(path_type=Path), help="T2 of the same head, to find a T1's canals on.")
@click.option("--sequence", type=click.Choice(["mprage", "spgr", "ciss", "tse"]), help="Contrast of the tumour.")
@click.option(
    "--edition", default="2021", show_default=True, type=click.Choice([str(year) for year in EDITIONS]), help="Labels."
)
def implant(image_path: Path, out_dir: Path, contrast: str | None, side: str, seed: int, edition: str, **options):
    """Put a simulated schwannoma into the head IMAGE (T1 or T2) and write image and label to OUT.

    The canal is found on T2, or given by its two ends or the other ear's; a T1's is found on a T2 of the same head,
    aligned to it. Where the place is in doubt, a warning says why. For tests and training in one's own scanner's look:
    such images are not the challenge's data.
    """
    from training.implant.lesion import implant as paint
    from training.phantom.tumour import sample_volume
    from vestibule.volume import read_scan

    contrast = contrast or _contrast_of(image_path)
    image = read_scan(image_path)
    canal = _canal(image, image_path, contrast, side, options)
    if canal.doubt:
        advice = "look at the result; the canal's two ends as you see them go to --porus and --fundus"
        click.echo(f"{image_path}: warning: the canal may be wrong: {canal.doubt}; {advice}", err=True)
    rng = np.random.default_rng(seed)
    volume_mm3 = options["volume_mm3"] or sample_volume(rng)
    try:
        painted, label, tumour = paint(image, canal, volume_mm3, contrast, rng, options["sequence"])
    except InputError as error:
        raise InputError(f"{image_path}: {error}") from error
    image_out, label_out = _write(image_path, out_dir, painted, label, get_edition(int(edition)))
    entry = {
        "from": str(image_path),
        "side": "left" if canal.fundus[0] > canal.porus[0] else "right",
        "porus": canal.porus.round(2).tolist(),
        "fundus": canal.fundus.round(2).tolist(),
        "doubt": canal.doubt,
        "volume_mm3": round(tumour.volume_mm3, 1),
        "class": tumour.tumour_class,
        "contrast": contrast,
        "seed": seed,
    }
    _record(out_dir / RECORD, image_out.name, entry)
    click.echo(
        f"{image_out}: {tumour.tumour_class} tumour of {tumour.volume_mm3:.0f} mm3, {entry['side']}; {label_out}"
    )


def _canal(image, image_path: Path, contrast: str, side: str, options: dict):
    from training.implant.canals import Canal, align, find_canals, mirrored
    from vestibule.volume import read_scan

    ends = options["porus"], options["fundus"]
    if any(ends):
        if not all(ends):
            raise click.UsageError("--porus and --fundus go together")
        canal = Canal(*(np.array(end) for end in ends))
        if not 4 <= canal.length_mm <= 25:
            raise click.UsageError(f"the canal from --porus to --fundus is {canal.length_mm:.1f} mm long, not 4 to 25")
        return mirrored(canal, image) if options["mirror"] else canal
    if options["mirror"]:
        raise click.UsageError("--mirror needs the other ear's --porus and --fundus")
    if contrast == "T2":
        return find_canals(image)[side]
    if options["t2_path"] is None:
        advice = "name a T2 of the same head by --t2, or give --porus and --fundus, of the other ear with --mirror"
        raise click.UsageError(f"{image_path} is T1: {advice}")
    t2 = read_scan(options["t2_path"])
    return find_canals(t2)[side].moved(align(image, t2))


def _contrast_of(path: Path) -> str:
    contrast = case_of_image(path)[1]
    if contrast is None:
        raise click.UsageError(f"{path}: its name tells neither T1 nor T2; say --contrast")
    return contrast


def _write(image_path: Path, out_dir: Path, image, label, edition: Edition) -> tuple[Path, Path]:
    from vestibule.volume import write_volume

    case = case_of_image(image_path)[0]
    out = out_dir / image_path.name, out_dir / edition.label_name(case)
    for path in out:
        if path.exists():
            raise InputError(f"{path}: is there already; name another OUT")
    values = np.array(
        [0, *(edition.parts[f"vs_{part}meatal"][0] if edition.parts else 1 for part in ("extra", "intra"))]
    )
    write_volume(out[1], label.with_voxels(values.astype(np.uint8)[label.voxels]), like=image_path)
    write_volume(out[0], image, like=image_path)
    return out


def _record(path: Path, name: str, entry: dict) -> None:
    entries = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps({**entries, name: entry}, indent=1) + "\n", encoding="utf-8")
    os.replace(partial, path)
