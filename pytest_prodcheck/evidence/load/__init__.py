"""Load runs, the light mode, and what the machine did meanwhile."""
