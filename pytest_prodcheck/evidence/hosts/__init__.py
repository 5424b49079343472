"""How much of hosts is in use."""
