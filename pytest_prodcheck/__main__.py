"""`python -m pytest_prodcheck …` is `prodcheck …`."""

import sys

from pytest_prodcheck.cli import main

if __name__ == "__main__":
    sys.exit(main())
