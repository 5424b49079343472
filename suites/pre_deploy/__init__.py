"""Checks before anything is touched."""
