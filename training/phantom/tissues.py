"""Tissues at 1.5 T: relaxation times, proton density and what gadolinium does to them.

Sources of the numbers in `TISSUES`; "unverified" marks a value that could not be read in the source itself.

- T1 of white and grey matter in vivo, 646 +- 32 and 1197 +- 134 ms: Wright et al., Water proton T1 measurements in
  brain tissue at 7, 3, and 1.5T, MAGMA 2008 (read in its abstract).
- T2 of white and grey matter, T1 and T2 of blood and muscle: Stanisz et al., T1, T2 relaxation and magnetization
  transfer in tissue at 3T, Magn Reson Med 2005 (its 1.5 T values, excised tissue at 37 degrees; unverified).
  In vivo, blood has 1580 +- 130 ms at 1.5 T (Sharma et al., J Magn Reson Imaging 2006).
- Fat and red marrow: de Bazelaire et al., MR imaging relaxation times of abdominal and pelvic tissues measured in vivo
  at 3.0 T, Radiology 2004. Its 1.5 T columns for subcutaneous fat and vertebral marrow are unverified; at 3 T its
  abstract gives 382 and 68, 586 and 49 ms. Under a train of refocusing pulses fat at 1.5 T has two components, 35 +- 3
  and 164 +- 7 ms (Schad et al., Magn Reson Imaging 1989, acoustic neurinoma study), which keeps it bright at long echo
  times; half of each is a choice.
- Cerebrospinal fluid: T1 4.2 to 4.5 s and T2 2.1 to 2.3 s are common reference values at 1.5 T; in the subarachnoid
  space 4.31 s and 1.89 s were measured at 3 T. Between them: 4300 and 2000 ms. Fluid of the labyrinth and of the eye is
  taken as cerebrospinal fluid (perilymph holds more protein; no measurement found).
- Schwannoma: no table of its times at 1.5 T could be read. It looks like the brainstem or slightly darker on plain T1
  and like grey matter or brighter on T2, hence 1250 and 105 ms, and 1700 and 200 ms for its loose (Antoni B) tissue:
  choices of this file. Cyst fluid lies between tissue and cerebrospinal fluid because of its proteins, and outshines
  the latter on T2-weighted spin echoes in two thirds of the cases (Tali et al., AJNR 1993): 2500 and 600 ms, a choice.
- Cortical bone and air give no signal at these echo times. Proton densities are relative to water: white matter 0.70
  and grey matter 0.82 as in quantitative water mapping, the others rounded (unverified).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

RELAXIVITY_R1 = 4.8
"""L/(mmol s), gadobutrol in human plasma, 1.5 T, 37 degrees: 4.78 +- 0.12 in Szomolanyi et al., Invest Radiol 2019."""
RELAXIVITY_R2 = 6.1
"""L/(mmol s), gadobutrol in plasma, 1.5 T: Rohrer et al., Invest Radiol 2005 (quoted from memory, unverified)."""


@dataclass(frozen=True)
class Tissue:
    """What a signal equation needs to know of a tissue."""

    t1_ms: float
    t2_ms: float
    proton_density: float
    """Relative to water."""
    gadolinium_mmol_l: float = 0.0
    """Concentration in the whole tissue a few minutes after 0.1 mmol/kg, on contrast-enhanced images only."""
    slow_t2: tuple[float, float] | None = None
    """Share and T2 in ms of a slowly decaying part, with T2 of the rest in `t2_fast_ms`: what a train of refocusing
    pulses sees. Other sequences see `t2_ms`."""
    t2_fast_ms: float | None = None
    flowing: bool = False
    """Whether it flows fast enough to lose its signal between the pulses of a T2-weighted sequence."""

    def enhanced(self) -> Tissue:
        """The tissue with its gadolinium: 1/T = 1/T0 + r c for both relaxation times."""
        concentration = self.gadolinium_mmol_l
        if concentration == 0:
            return self
        return replace(
            self,
            t1_ms=1e3 / (1e3 / self.t1_ms + RELAXIVITY_R1 * concentration),
            t2_ms=1e3 / (1e3 / self.t2_ms + RELAXIVITY_R2 * concentration),
        )


TISSUES = {
    "air": Tissue(1000.0, 50.0, 0.0),
    "bone": Tissue(250.0, 0.5, 0.2),
    "fat": Tissue(343.0, 58.0, 0.90, slow_t2=(0.5, 164.0), t2_fast_ms=35.0),
    "marrow": Tissue(549.0, 49.0, 0.70),
    "muscle": Tissue(1008.0, 44.0, 0.79, 0.05),
    "skin": Tissue(1008.0, 44.0, 0.70, 0.10),
    "white": Tissue(646.0, 72.0, 0.70),
    "grey": Tissue(1197.0, 95.0, 0.82, 0.01),
    "nerve": Tissue(815.0, 77.0, 0.72),
    "csf": Tissue(4300.0, 2000.0, 1.0),
    "labyrinth": Tissue(4300.0, 2000.0, 1.0),
    "blood": Tissue(1441.0, 290.0, 0.85, 0.35, flowing=True),
    "mucosa": Tissue(1008.0, 80.0, 0.85, 0.35),
    "dura": Tissue(1008.0, 44.0, 0.60, 0.30),
    "pituitary": Tissue(1197.0, 95.0, 0.82, 0.40),
    "schwannoma": Tissue(1250.0, 105.0, 0.85, 0.28),
    "schwannoma_loose": Tissue(1700.0, 200.0, 0.90, 0.15),
    "cyst": Tissue(2500.0, 600.0, 0.95),
}
"""Gadolinium: 0.1 mmol/kg gives some 0.5 to 0.6 mmol/L in plasma after minutes, hence 0.35 in whole blood; tissues
without a barrier come near their share of plasma and interstitial space. Brain keeps its barrier. Typical values."""
