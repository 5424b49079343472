"""What has to fit together: one module a subject."""
