"""Sessions of roles. No collectors."""
