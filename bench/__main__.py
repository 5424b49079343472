"""`make bench`: every benchmark, side by side in one run, as ratios."""

from __future__ import annotations

import argparse
import sys

from bench import cluster, content_hash, endpoints, gate_startup, load, restore, tls, trivial_checks

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--long", action="store_true", help="5,000 endpoints and 10,000 checks too: four minutes more")
    args = parser.parse_args()
    kept = [gate_startup.main(), trivial_checks.main(), endpoints.main(500), tls.main(), load.main()]
    kept += [content_hash.main(), restore.main(), cluster.main()]
    if args.long:
        kept += [endpoints.main(5000, 3), trivial_checks.growth()]
    sys.exit(0 if all(kept) else 1)
