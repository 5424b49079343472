"""PostgreSQL clusters: wire, session, and a collector a module."""
