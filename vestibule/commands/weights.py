"""`vestibule weights`: what a bundle is, and whether it is whole."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vestibule.weights import MANIFEST_NAME, Bundle, find_bundle, open_bundle

if TYPE_CHECKING:
    from rich.table import Table


@click.group()
def weights() -> None:
    """Show or verify a bundle of weights."""


@weights.command()
@click.argument("bundle", type=click.Path(path_type=Path), required=False)
def show(bundle: Path | None) -> None:
    """Print what BUNDLE is for, its arms and scores, and where it comes from (by default the installed bundle)."""
    from rich.console import Console

    console = Console()
    opened = open_bundle(find_bundle(bundle))
    console.print(_facts(opened))
    console.print(_scores(opened))


@weights.command()
@click.argument("bundle", type=click.Path(path_type=Path), required=False)
def verify(bundle: Path | None) -> None:
    """Check every file of BUNDLE against its manifest (by default the installed bundle)."""
    opened = open_bundle(find_bundle(bundle))
    click.echo(f"{opened.path}: whole, {_size(opened)}, each as its sha256 says")
    listed = {MANIFEST_NAME, *opened.manifest["files"]}
    present = (path.relative_to(opened.path).as_posix() for path in opened.path.rglob("*") if path.is_file())
    extra = sorted(name for name in present if name not in listed)
    if extra:
        click.echo(f"not in the manifest, and so never read: {', '.join(extra)}")


def _facts(bundle: Bundle) -> Table:
    """A table of what a user asks of weights first."""
    from rich.table import Table
    from rich.text import Text

    manifest = bundle.manifest
    arms = ", ".join(f"{arm} (default)" if arm == manifest["default_arm"] else arm for arm in manifest["arms"])
    # The nested entries are whole configurations, which the manifest itself is the place to read.
    provenance = {key: value for key, value in manifest["provenance"].items() if not isinstance(value, dict | list)}
    rows = {
        "intended use": manifest["intended_use"],
        "notice": bundle.notice or "none",
        "challenge rules": _rules(bundle),
        "edition": str(manifest["edition"]),
        "arms": arms,
        "made": f"{manifest['created']} by vestibule {manifest['code_version']}",
        "command": manifest["command"],
        "seed": str(manifest["seed"]),
        "provenance": ", ".join(f"{key}: {_plain(value)}" for key, value in provenance.items()),
        "size": _size(bundle),
    }
    table = Table(title=Text(f"{manifest['name']}  {bundle.path}"), show_header=False, title_justify="left")
    for key, value in rows.items():
        table.add_row(key, Text(value))
    return table


def _size(bundle: Bundle) -> str:
    from rich.filesize import decimal

    sizes = [entry["bytes"] for entry in bundle.manifest["files"].values()]
    return f"{len(sizes)} files, {decimal(sum(sizes))}"


def _rules(bundle: Bundle) -> str:
    if bundle.broken_rules:
        remarks = bundle.manifest["provenance"].get("remarks") or []
        return f"broken: {', '.join(bundle.broken_rules)}" + (f" ({'; '.join(remarks)})" if remarks else "")
    if bundle.manifest["intended_use"] == "phantom":
        return "no entry to a challenge: trained on phantoms alone"
    return "kept: no data from outside the challenge, not pre-trained"


def _scores(bundle: Bundle) -> Table:
    """A table of the recorded scores, one line a number, whatever their nesting."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title="scores", title_justify="left", show_header=False)
    for path, value in _leaves(bundle.manifest["scores"]):
        table.add_row(Text(" ".join(path)), Text(_plain(value)))
    if not bundle.manifest["scores"]:
        table.add_row("none recorded")
    return table


def _leaves(value: object, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    if not isinstance(value, dict):
        yield path, value
        return
    for key, inner in value.items():
        yield from _leaves(inner, (*path, str(key)))


def _plain(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    return value if isinstance(value, str) else json.dumps(value)
