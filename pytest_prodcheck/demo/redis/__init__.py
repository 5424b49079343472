"""The primary and its replica."""
