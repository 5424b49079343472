"""`python -m pytest_prodcheck.cli` is `prodcheck`."""

import sys

from pytest_prodcheck.cli import main

sys.exit(main())
