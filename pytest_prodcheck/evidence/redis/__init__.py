"""Redis and Valkey groups."""
