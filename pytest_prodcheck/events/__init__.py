"""What happened, in order: an append-only log of runs, verdicts, overrides, deployments and incidents."""
