"""A few synthetic patients and one tiny population, made once."""

from dataclasses import replace

import numpy as np
import pytest

from training.phantom.anatomy import make_patient
from training.phantom.config import PhantomConfig
from training.phantom.population import make_population
from vestibule.volume import Geometry

TINY = {"shape_zyx": (12, 64, 64), "spacing_zyx": (2.5, 1.6, 1.6)}


@pytest.fixture(scope="session")
def tiny_config():
    """A population of seven small cases."""
    return PhantomConfig(cases=2, validation=3, seed=7, **TINY)


@pytest.fixture(scope="session")
def tiny_population(tmp_path_factory, tiny_config):
    """Folder of that population."""
    folder = tmp_path_factory.mktemp("population") / "out"
    make_population(folder, tiny_config)
    return folder


def patient_with(volume_mm3, seed=3, **options):
    """A patient whose tumour has `volume_mm3`, held straight in the scanner's centre."""
    config = PhantomConfig(prevalence=1.0, volume_mm3=(volume_mm3, 1.001 * volume_mm3), **options)
    patient = make_patient(config, np.random.default_rng(seed))
    return replace(patient, turn_deg=np.zeros(3), shift_mm=np.zeros(3))


def grid(size_zyx, spacing_zyx, centre_xyz=(0, 0, 0), direction=None):
    """A grid around a point of the scanner."""
    direction = np.eye(3) if direction is None else direction
    half = (np.asarray(size_zyx[::-1]) - 1) / 2 * np.asarray(spacing_zyx[::-1])
    origin = np.asarray(centre_xyz) - direction @ half
    return Geometry(size_zyx, spacing_zyx, tuple(origin), tuple(direction.ravel()))


@pytest.fixture(scope="session")
def grown_patient():
    """A patient with a tumour of 2400 mm3."""
    return patient_with(2400.0)


@pytest.fixture(scope="session")
def make_grid():
    """`grid`."""
    return grid


@pytest.fixture(scope="session")
def make_tumour_patient():
    """`patient_with`."""
    return patient_with
