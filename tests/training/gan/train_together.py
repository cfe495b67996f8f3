"""What `test_distributed.py` lets torchrun start: the shared stages of a configuration, in a run."""

import sys
from pathlib import Path

from training.config import read_config
from training.runner import run_stage
from training.stage_table import CYCLEGAN, PIX2PIX

for stage in (CYCLEGAN, PIX2PIX):
    run_stage(stage, read_config(Path(sys.argv[1])), Path(sys.argv[2]), print)
