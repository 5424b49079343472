"""What one release needs before it happens: approval, the way back, dependencies, settings."""
