"""A backup brought up in a scratch server."""
