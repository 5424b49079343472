"""Backups and archived WAL as they lie there."""
