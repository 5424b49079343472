"""One module a section of prodcheck.toml: its pydantic models."""
