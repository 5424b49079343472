"""The bundled suites: checks that judge evidence, and do nothing else."""
