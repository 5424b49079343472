"""The demo: a real small system on loopback with switchable faults, for `--env demo`, `prodcheck demo` and the tests.

    with start() as demo:
        demo.wait_ready()
        demo.set_faults(["health-fails"])

It imports nothing of the rest of this project, and only the standard library until a demo is started.
"""

from pytest_prodcheck.demo.faults import BENIGN, FAULTS, Fault, list_faults
from pytest_prodcheck.demo.files.configuration import describe
from pytest_prodcheck.demo.handle import Demo, find_running, run_foreground, show_deployments, start
from pytest_prodcheck.demo.runtime.errors import DemoError

__all__ = [
    "BENIGN", "FAULTS", "Demo", "DemoError", "Fault", "describe", "find_running", "list_faults", "run_foreground",
    "show_deployments", "start",
]  # fmt: skip
