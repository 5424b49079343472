"""The HTTPS shop, and what faults do to its answers."""
