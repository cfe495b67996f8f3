"""Teams whose scores cannot be ranked: they cost no other team its place, and are named with the reason.

The code that the organisers of crossMoDA 2022 published stops at a missing mask: a team whose masks are not complete
has no scores, and no place. `out` is that rule. `last`, the default, gives the same order and shows such a team behind
all others. `empty` is for those who prefer a number: what is missing or unusable counts as an empty mask, which the
challenge scores with Dice 0 and 350 mm, and the team stands where this puts it.
"""

from __future__ import annotations

from typing import Literal

from vestibule.errors import InputError

FailedRule = Literal["last", "out", "empty"]
LAST: FailedRule = "last"
OUT: FailedRule = "out"
EMPTY: FailedRule = "empty"
NAMES_SHOWN = 5


def with_failed(document: dict, faults: dict[str, str], rule: FailedRule) -> dict:
    """A ranking for JSON with the teams that failed.

    Args:
        document: As `evaluation.ranking.as_document` gives it, of the teams that are ranked.
        faults: Why each other team is not.
        rule: Whether they share the place behind all others (`last`), have none (`out`), or their own (`empty`).

    Returns:
        The document with `failed`: [{"team", "place", "reason"}], `place` None where they have none.
    """
    places = {team["team"]: team["place"] for team in document["ranking"]}
    behind = len(places) + 1 if rule == LAST else None
    failed = []
    for team in sorted(faults):
        place = places.get(team, behind)
        failed.append({"team": team, "place": place, "reason": faults[team]})
    return document | {"failed": failed}


def raise_for(faults: dict[str, str], teams: int, rule: FailedRule) -> None:
    """Raise InputError, which ends in exit code 1, where some of `teams` teams failed; it names them."""
    if not faults:
        return
    consequence = {LAST: "ranked last", OUT: "left out", EMPTY: "scored as empty where they lack a mask"}[rule]
    first, *others = sorted(faults)
    if not others:
        raise InputError(f"1 of {teams} teams failed, {consequence}: {first}: {faults[first]}")
    listed = ", ".join([first, *others][:NAMES_SHOWN])
    more = len(faults) - NAMES_SHOWN
    if more > 0:
        listed += f" and {more} more"
    raise InputError(f"{len(faults)} of {teams} teams failed, {consequence}: {listed}; {first}: {faults[first]}")


def failed_rows(document: dict, columns: int) -> list[list[str]]:
    """Rows of a table of `columns` columns for the teams that failed and are not ranked: place, team, and "failed"."""
    ranked = [team["team"] for team in document["ranking"]]
    rows = []
    for team in document["failed"]:
        if team["team"] in ranked:
            continue
        place = "-" if team["place"] is None else str(team["place"])
        blank = [""] * (columns - 3)
        rows.append([place, team["team"], "failed", *blank])
    return rows
