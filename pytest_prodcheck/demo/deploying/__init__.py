"""Two copies of a small shop behind a real HAProxy, to deploy to."""
