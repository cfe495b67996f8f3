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
CONSEQUENCES = {
    LAST: "ranked last",
    OUT: "left out",
    EMPTY: "scored as empty where they lack a mask",
}
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
    places = {}
    for team in document["ranking"]:
        places[team["team"]] = team["place"]
    behind = len(places) + 1 if rule == LAST else None

    failed = []
    for name in sorted(faults):
        entry = {
            "team": name,
            "place": places.get(name, behind),
            "reason": faults[name],
        }
        failed.append(entry)
    return document | {"failed": failed}


def raise_for(faults: dict[str, str], teams: int, rule: FailedRule) -> None:
    """Raise InputError, which ends in exit code 1, where some of `teams` teams failed; it names them."""
    told = failed_teams(faults, teams, rule)
    if told:
        raise InputError(told)


def failed_teams(faults: dict[str, str], teams: int, rule: FailedRule) -> str | None:
    """Which of `teams` teams failed and what becomes of them, for a command's last line; None where none did."""
    if not faults:
        return None
    consequence = CONSEQUENCES[rule]
    names = sorted(faults)
    first = names[0]
    reason = f"{first}: {faults[first]}"
    if len(names) > 1:
        shown = names[:NAMES_SHOWN]
        listed = ", ".join(shown)
        more = len(names) - NAMES_SHOWN
        if more > 0:
            listed += f" and {more} more"
        reason = f"{listed}; {reason}"
    return f"{len(names)} of {teams} teams failed, {consequence}: {reason}"


def failed_rows(document: dict, columns: int) -> list[list[str]]:
    """Rows of a table of `columns` columns for the teams that failed and are not ranked: place, team, and "failed"."""
    ranked = [team["team"] for team in document["ranking"]]
    rows = []
    for team in document["failed"]:
        if team["team"] in ranked:
            continue
        place = "-" if team["place"] is None else str(team["place"])
        row = [place, team["team"], "failed"]
        row += [""] * (columns - len(row))
        rows.append(row)
    return rows
