"""The primary, its standby, backups and WAL."""
