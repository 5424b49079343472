"""Deployments guarded by gates: a plan of steps with their undo, a journal, drivers that move copies and traffic."""
