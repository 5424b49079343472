"""What collectors of every subject use: texts cleaned, threads, programs, files."""
