"""The pytest plugin: hooks only, thin; inert without `--env`."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_prodcheck.plugin.options import add_options, add_settings, fill_in, only_informs

if TYPE_CHECKING:
    from pytest_prodcheck.plugin.controller import RunController
    from pytest_prodcheck.scope import Scope

MARKERS = {
    "pre_deploy": "before a change: can this revision be deployed now?",
    "smoke": "after a deployment: does the service answer, with the right revision, and do user workflows succeed?",
    "performance": "measured latency, throughput and errors against limits",
    "security": "what an attacker or an auditor would find",
    "data_integrity": "data, backups and replicas are complete and consistent",
}
CONTROLLER: pytest.StashKey[RunController] = pytest.StashKey()
_TAKE_IDS = ("-k", "--deselect")  # options whose value may be the id of a check
LEFT_OUT: pytest.StashKey[int] = pytest.StashKey()
WORKER_SCOPE: pytest.StashKey[Scope] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds `--env` and its companions."""
    add_options(parser)
    add_settings(parser)


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config, args: list[str]) -> None:
    """Reads prodcheck.toml, withdraws the verdicts this run is about, and adds the suites to collect.

    Before any conftest is loaded: one that cannot be imported must not leave an old verdict standing.
    """
    options = early_config.known_args_namespace
    wanted = options.prodcheck_env
    if wanted is not None and not wanted.strip():
        raise pytest.UsageError("prodcheck: --env is empty: is a variable of the pipeline not set?")
    if not wanted or options.help or options.version:
        return
    _collect_garbage_rarely()
    from pytest_prodcheck.plugin.binding import is_own, tops_of
    from pytest_prodcheck.plugin.fresh_bytecode import bypass_bytecode
    from pytest_prodcheck.plugin.other_plugins import refusals
    from pytest_prodcheck.plugin.xdist_worker import scope_here

    if refused := "; ".join(refusals(options)):
        raise pytest.UsageError(f"prodcheck: {refused}")
    scope = scope_here()
    controller = None
    if scope is not None:
        early_config.stash[WORKER_SCOPE] = scope
    else:
        early_config.stash[CONTROLLER] = controller = _start(early_config)
        scope = controller.opened.scope
    tops = tops_of(scope, early_config.rootpath, early_config.inipath)
    if tops:
        early_config.add_cleanup(bypass_bytecode(lambda file: is_own(file, tops)))
        if controller is not None:
            controller.opened.bound.begin(tops)
        if Path(scope.root) in Path(options.confcutdir or scope.root).absolute().parents:
            options.confcutdir = scope.root  # conftests beside prodcheck.toml decide, wherever the run is started
    _guard_arguments(early_config)
    if options.file_or_dir:
        scope = _replace_check_ids(scope, controller, options.file_or_dir, args)
    if not options.file_or_dir:
        args[:0] = scope.folders  # in front: an option whose value may be left out would take what follows it
        options.file_or_dir.extend(scope.folders)


def _collect_garbage_rarely() -> None:
    """What is loaded stays, results and evidence too: looking through it again and again costs a tenth of a run."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def _replace_check_ids(scope: Scope, controller: RunController | None, paths: list[str], args: list[str]) -> Scope:
    """Puts what pytest can collect in the place of ids of checks; the controller says which checks run."""
    from pytest_prodcheck.plugin.check_names import named_in

    if controller is not None:
        scope = controller.opened.scope = replace(scope, named=named_in(paths, scope, controller.opened.own_checks))
    places = {each.word: each.place for each in scope.named}
    paths[:] = [places.get(word, word) for word in paths]
    args[:] = [
        word if before in _TAKE_IDS else places.get(word, word) for before, word in zip(["", *args], args, strict=False)
    ]
    return scope


def _guard_arguments(config: pytest.Config) -> None:
    from pytest_prodcheck.plugin.argument_guard import NAME, ArgumentGuard

    if config.pluginmanager.register(ArgumentGuard(), NAME) is None:
        raise pytest.UsageError(f"prodcheck: -p no:{NAME} cannot be given together with --env")


def _start(config: pytest.Config) -> RunController:
    from pytest_prodcheck.plugin.interrupts import Interrupts

    interrupts = Interrupts()
    interrupts.start()
    try:
        from pytest_prodcheck.plugin.controller import RunController

        fill_in(config)
        return RunController.start(config.known_args_namespace, config.invocation_params.dir, interrupts)
    except pytest.UsageError:
        raise
    except KeyboardInterrupt:
        raise SystemExit(pytest.ExitCode.INTERRUPTED) from None
    except Exception as error:  # what nobody foresaw must not look like a failed check (exit 1) or a traceback
        if os.environ.get("PRODCHECK_DEBUG") == "1":
            raise
        said = f"{type(error).__name__}: {error}"
        raise pytest.UsageError(f"prodcheck: the run could not begin: {said} (PRODCHECK_DEBUG=1 shows where)") from None


def pytest_configure(config: pytest.Config) -> None:
    """Registers the markers; with `--env` the hooks that judge and conduct."""
    for name, meaning in MARKERS.items():
        config.addinivalue_line("markers", f"{name}: {meaning}")
    scope = config.stash.get(WORKER_SCOPE, None)
    if scope is not None or CONTROLLER in config.stash:
        gc.freeze()  # what is loaded by now stays
    if scope is not None and hasattr(config, "workerinput"):
        from pytest_prodcheck.plugin.xdist_worker import register_worker

        register_worker(config, scope)
    elif (controller := config.stash.get(CONTROLLER, None)) is not None:
        controller.register(config)
    elif config.getoption("prodcheck_env", None) and not only_informs(config.option):
        raise pytest.UsageError(
            "prodcheck was loaded too late to read prodcheck.toml: remove it from `pytest_plugins` of the "
            "conftest; pytest finds the installed plugin by itself"
        )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without an environment, of which none is the default: leaves checks out beside other tests, else refuses them."""
    checks = sys.modules.get("pytest_prodcheck.judging.checks")
    # nobody has made a check where nobody has imported `check`
    if checks is None or config.getoption("prodcheck_env", None) or config.option.collectonly:
        return
    found = [item for item in items if hasattr(getattr(item, "function", None), checks.ATTRIBUTE)]
    if not found:
        return
    from pytest_prodcheck.plugin.markers import asks_for_suites

    if len(found) == len(items) or asks_for_suites(config.option.markexpr):
        raise pytest.UsageError(
            f"{found[0].nodeid} is a check of a real environment: name the environment with --env NAME "
            "(`prodcheck env` lists those in prodcheck.toml; `--env demo` starts a bundled demo system)"
        )
    left_out = set(found)
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=found)
    config.stash[LEFT_OUT] = len(found)


def pytest_collection_finish(session: pytest.Session) -> None:
    """`-m smoke` without an environment that leaves no test: says what to type, instead of "no tests ran"."""
    config = session.config
    if session.items or config.getoption("prodcheck_env", None) or config.option.collectonly or _is_distributed(config):
        return
    from pytest_prodcheck.gates.paths import find_root
    from pytest_prodcheck.plugin.markers import only_suites_in

    suites = only_suites_in(config.option.markexpr)
    if suites and find_root(str(config.invocation_params.dir)) is not None:
        raise pytest.UsageError(
            f"prodcheck: no environment is named, so no check of -m {suites[0]} runs: add --env NAME "
            "(`prodcheck env` lists those in prodcheck.toml; `--env demo` starts a bundled demo system)"
        )


def _is_distributed(config: pytest.Config) -> bool:
    """Whether pytest-xdist runs the tests elsewhere, or here for another process."""
    return hasattr(config, "workerinput") or bool(getattr(config.option, "tx", None))


def pytest_report_collectionfinish(config: pytest.Config) -> str:
    """One line about checks that were left out."""
    number = config.stash.get(LEFT_OUT, 0)
    if not number:
        return ""
    checks = "1 check of a real environment is" if number == 1 else f"{number} checks of real environments are"
    return f"prodcheck: {checks} left out; --env NAME runs {'it' if number == 1 else 'them'}"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> Generator[None, int | None, int | None]:
    """Has the last word: publishes the verdicts as the very last act and sets the exit code."""
    controller = config.stash.get(CONTROLLER, None)
    if controller is None or only_informs(config.option):
        try:
            return (yield)
        finally:
            if controller is not None:
                controller.close()
    try:
        try:
            status = yield
        except FileNotFoundError as error:  # pytest goes back to the folder that it was started in
            print(f"prodcheck: cannot tell: {error.filename} no longer exists; the gate stays closed", file=sys.stderr)  # noqa: T201
            return 13
        return controller.conclude(0 if status is None else int(status))
    finally:
        controller.close()
