"""What one release needs before it happens: approval, the rollback plan, dependencies, settings."""
