"""Who runs collectors: side by side, each piece once, saved, redacted; knows no subject."""
