"""A thousand cases through one prediction and through the server: `python -m tests.reliability.load --help`."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.reliability.load.work import AT_ONCE, digests, predict, serve, write_cases, write_images
from tests.tiny_bundle import write_tiny_bundle


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.reliability.load", description=__doc__)
    parser.add_argument("--count", type=int, default=1000, help="cases, and requests (default: 1000)")
    parser.add_argument("--seed", type=int, default=0, help="of the orders of the cases (default: 0)")
    chosen = parser.parse_args()
    count = chosen.count
    begin = time.monotonic()
    faults = []
    rows = []
    with tempfile.TemporaryDirectory(prefix="load-") as folder:
        place = Path(folder)
        bundle = write_tiny_bundle(place / "bundle")
        images = write_images(place / "images")

        # All at once, then shuffled in batches of several sizes: an image has one mask, whatever came before it.
        found: dict[int, set[str]] = {}
        for batch, size in enumerate((count, count // 2, count // 3, count // 6)):
            cases, masks = place / f"cases{batch}", place / f"masks{batch}"
            named = write_cases(cases, images, size, chosen.seed + batch)
            course = predict(cases, masks, bundle, size, size if batch == 0 else None)
            if course:
                rows.append(course.row("prediction"))
                faults += course.faults
            for number, sums in digests(masks, named).items():
                found.setdefault(number, set()).update(sums)
        for number, sums in found.items():
            if len(sums) > 1:
                faults.append(f"image {number} has {len(sums)} different masks")

        # The server segments a folder of one case at each request.
        named = write_cases(place / "job", images, 1, chosen.seed)
        answers, course = serve(place / "job", place / "served", bundle, count, True)
        if course:
            rows.append(course.row(f"server, {AT_ONCE} at once"))
            faults += course.faults
        if set(answers) != {201}:
            faults.append(f"the server answered {sorted(set(answers))}")
        for number, sums in digests(place / "served", named).items():
            if sums != found[number]:
                faults.append("the server's mask is another than the prediction's")

    print("| what | cases | MiB early | MiB late | handles early | handles late | ms early | ms late |")
    print("|---|---|---|---|---|---|---|---|")
    print("\n".join(rows))
    print(f"\n{len(found)} images in 4 batches of other orders and sizes; {time.monotonic() - begin:.0f} s")
    print("\n".join(faults) or "flat, and bit-identical in any order")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
