"""How each fault is switched on and off: a table a subject."""
