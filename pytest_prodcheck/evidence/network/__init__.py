"""Names, ports and connections: resolving, trust, declared nodes; and their own collectors."""
