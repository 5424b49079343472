"""What browsers and caches make of answers' headers: pure functions from text to findings, by the standards' own rules.

No library does this: those that parse a policy refuse what a browser takes, or keep of two directives the one that it
drops. Each module names the standard it follows.
"""
