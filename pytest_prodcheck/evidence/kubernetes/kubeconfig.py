"""A kubeconfig decides what is run, and which of our files are sent where: it is ours, and its programs see little."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pytest_prodcheck.child_processes import child_environment
from pytest_prodcheck.evidence.deadlines import Deadline
from pytest_prodcheck.evidence.tools.subprocesses import run
from pytest_prodcheck.records import EvidenceProblem, Problem
from pytest_prodcheck.trusted_files import OwnerProblem, refuse_foreign

_SECONDS = 30.0  # of a program for credentials; those that ask a person are not for us


def load_kubeconfig(file: str | None, context: str | None, made: Any, passed: Sequence[str]) -> None:
    """Fills the client's configuration from a file, or from where kubectl looks. passed: as `pass_environment`.

    Raises EvidenceProblem, and what the client raises.
    """
    from kubernetes.config import kube_config

    places = file or os.environ.get("KUBECONFIG") or "~/.kube/config"
    try:
        for each in filter(None, places.split(os.pathsep)):
            refuse_foreign(os.path.expanduser(each), "the kubeconfig")
    except OwnerProblem as error:
        raise EvidenceProblem(Problem("configuration", str(error))) from None
    problems = _start_programs_ourselves(kube_config, tuple(passed))
    kube_config.load_kube_config(places, context, client_configuration=made, persist_config=False)
    if problems:
        raise EvidenceProblem(problems[0])


def _start_programs_ourselves(client: Any, passed: Sequence[str]) -> list[Problem]:
    """Has the client start programs by `CredentialProgram`, also for a newer token; what goes wrong comes here."""
    problems: list[Problem] = []
    if not hasattr(client, "ExecProvider") or not hasattr(client, "CommandTokenSource"):
        what = "this version of the package kubernetes starts programs in another way"
        raise EvidenceProblem(Problem("configuration", what, "install one that pytest-prodcheck[kubernetes] allows"))

    def make(entry: Any, folder: str, cluster: Any = None) -> CredentialProgram:
        return CredentialProgram(entry, folder, cluster, passed, problems)

    client.ExecProvider, client.CommandTokenSource = make, _refused
    return problems


def _refused(command: str, *_: object) -> Any:
    what = f"the kubeconfig has its token from {command} by `cmd-path`, which kubectl does not know any more"
    raise EvidenceProblem(Problem("configuration", what, "use `exec` in the kubeconfig"))


class CredentialProgram:
    """A program of a kubeconfig that prints a credential (client.authentication.k8s.io)."""

    def __init__(self, entry: Any, folder: str, cluster: Any, passed: Sequence[str], problems: list[Problem]) -> None:
        self._version = str(entry["apiVersion"])
        self._words = [str(entry["command"]), *map(str, entry.safe_get("args") or ())]
        self._own = {str(each["name"]): str(each["value"]) for each in entry.safe_get("env") or ()}
        self._folder = Path(folder or ".")
        self._cluster = cluster.value if cluster is not None and entry.safe_get("provideClusterInfo") else None
        self._passed, self._problems = passed, problems

    def run(self, previous_response: object = None) -> dict[str, Any]:
        """The status that it prints; raises EvidenceProblem."""
        try:
            return self._run()
        except EvidenceProblem as error:
            self._problems.append(error.problem)
            raise

    def _run(self) -> dict[str, Any]:
        told = {"KUBERNETES_EXEC_INFO": json.dumps(self._about())}
        environ = child_environment(self._words[0], self._passed, {**self._own, **told})
        done = run(self._words, Deadline(_SECONDS), folder=self._folder, only=environ)
        if done.code:
            raise self._problem(f"ended with {done.code}: {done.error_text}")
        try:
            answer = json.loads(done.output)
            kind, version, status = answer["kind"], answer["apiVersion"], answer["status"]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise self._problem("printed no ExecCredential") from None
        if kind != "ExecCredential" or version != self._version or not isinstance(status, dict):
            raise self._problem(f"printed no ExecCredential of {self._version}")
        return status

    def _about(self) -> dict[str, Any]:
        spec: dict[str, Any] = {"interactive": False}
        if self._cluster is not None:
            of_programs = "client.authentication.k8s.io/exec"
            named = {each.get("name"): each.get("extension") for each in self._cluster.get("extensions") or ()}
            spec["cluster"] = {**self._cluster, "config": named.get(of_programs)}
        return {"apiVersion": self._version, "kind": "ExecCredential", "spec": spec}

    def _problem(self, what: str) -> EvidenceProblem:
        hint = "run `kubectl get --raw /readyz` with it; variables that it needs are named in `pass_environment`"
        return EvidenceProblem(Problem("configuration", f"the kubeconfig's program {self._words[0]} {what}", hint))
