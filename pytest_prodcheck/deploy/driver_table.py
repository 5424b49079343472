"""The drivers by name, and a team's own by its file."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.deploy.commands_driver import CommandsDriver
from pytest_prodcheck.deploy.haproxy_driver import HaproxyDriver
from pytest_prodcheck.deploy.plan import PlanProblem
from pytest_prodcheck.trusted_files import refuse_foreign

if TYPE_CHECKING:
    from pytest_prodcheck.deploy.drivers import Driver, DriverContext


def create_driver(context: DriverContext) -> Driver:
    """The declared driver; raises PlanProblem (2) for a file that holds none."""
    name = context.settings.driver
    if name == "commands":
        return CommandsDriver(context)
    if name == "haproxy":
        return HaproxyDriver(context)
    if name == "kubernetes":
        from pytest_prodcheck.deploy.kubernetes_driver import KubernetesDriver

        assert context.cluster is not None
        return KubernetesDriver(context, context.cluster)
    return _own(context, context.root / name)


def _own(context: DriverContext, path: Path) -> Driver:
    """A team's own: a file with a function `driver(site)`."""
    try:
        refuse_foreign(str(path), "the driver")
        spec = importlib.util.spec_from_file_location("prodcheck_own_driver", path)
        assert spec is not None
        assert spec.loader is not None
        module: Any = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        made = module.driver(context)
    except Exception as error:
        text = f"the driver {path} cannot be used: {type(error).__name__}: {' '.join(str(error).split())[:300]}"
        raise PlanProblem(text, 2) from None
    missing = [name for name in ("observe", "start", "stop", "share") if not callable(getattr(made, name, None))]
    if missing:
        raise PlanProblem(f"the driver {path} lacks {', '.join(missing)}", 2)
    found: Driver = made
    return found
