"""The cases of a synthetic population: who is in it, and where their files lie."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training.phantom.config import PhantomConfig
from vestibule.editions import Edition, get_edition

DOMAINS = ("source", "target", "validation")


@dataclass(frozen=True)
class Case:
    """One patient of the population: who, where, and the seed that everything about them comes from."""

    name: str
    domain: str
    """One of `DOMAINS`."""
    site: str
    seed: int


def plan_cases(config: PhantomConfig) -> list[Case]:
    """Every case of the population, numbered through as the challenge does.

    A case's seed depends on the population's seed, its domain and its place there, so that asking for more cases
    leaves the first ones as they were, and no patient is in two domains.
    """
    edition = get_edition(config.edition)
    sites = config.site_cycle
    count_of = {
        "source": config.cases,
        "target": config.cases,
        "validation": config.validation_cases,
    }

    cases: list[Case] = []
    for domain_index, domain in enumerate(DOMAINS):
        for index in range(count_of[domain]):
            site = sites[index % len(sites)]
            number = len(cases) + 1
            name = edition.case_name(site, number)
            seed = _case_seed(config.seed, domain_index, index)
            cases.append(Case(name, domain, site, seed))
    return cases


def case_paths(case: Case, edition: Edition, out_dir: Path) -> tuple[Path, Path]:
    """Image and label of a case. Labels of the target domain lie apart, as references: the challenge hides them."""
    out_dir = Path(out_dir)
    label_name = edition.label_name(case.name)
    if case.domain == "source":
        folder = out_dir / edition.source_folder
        return folder / edition.source_name(case.name), folder / label_name

    is_training = case.domain == "target"
    folder_name = edition.target_folder if is_training else edition.validation_folder
    image_path = out_dir / folder_name / edition.target_name(case.name)
    references = edition.references_of(out_dir, folder_name)
    return image_path, references / label_name


def _case_seed(population_seed: int, domain_index: int, index: int) -> int:
    """A seed of 63 bits, so that it fits a signed integer of any table that reads population.csv."""
    sequence = np.random.SeedSequence((population_seed, domain_index, index))
    bits = int(sequence.generate_state(1, np.uint64)[0])
    return bits >> 1
