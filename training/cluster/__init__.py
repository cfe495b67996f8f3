"""The stages of runs as jobs of an engine: local processes or Slurm, through submitit."""
