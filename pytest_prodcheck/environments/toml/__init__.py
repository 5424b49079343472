"""From files to one tree whose every key knows its line. Knows no section."""
