"""Entrances, names, and servers of somebody else's."""
