"""The one HTTP client. No collectors."""
