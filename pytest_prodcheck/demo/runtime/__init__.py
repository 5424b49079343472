"""Folders, processes, programs and certificates of a demo."""
