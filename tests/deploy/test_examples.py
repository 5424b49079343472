"""The pipelines of `examples/deploying`: every exit code leads where the page says, and the files are well formed."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "deploying"
LEADS_TO = {
    0: "deployed r2", 1: "nothing was changed", 2: "PAGE: the pipeline", 3: "nothing was changed",
    4: "PAGE: the pipeline", 20: "rolled back", 21: "PAGE: deployment of r2", 22: "waiting", 23: "another deployment",
    137: "PAGE: deployment of r2",
}  # fmt: skip


@pytest.mark.parametrize("code", LEADS_TO)
def test_every_exit_code_of_the_pipeline(code: int, tmp_path: Path) -> None:
    stand_in = tmp_path / "prodcheck"
    stand_in.write_text(f'#!/bin/sh\necho "$@"\ncase "$*" in *--dry-run) exit 0 ;; esac\nexit {code}\n')
    stand_in.chmod(0o755)
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "GIT_SHA": "r2", "AUTO_APPROVE": "1"}
    words = [str(EXAMPLES / "pipeline.sh")]
    done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, LEADS_TO[code] in done.stdout) == (code, True), done.stdout + done.stderr
    assert "deploy --env production --revision r2 --auto-approve" in done.stdout


def test_without_a_revision_or_with_a_plan_that_is_none_nothing_is_deployed(tmp_path: Path) -> None:
    stand_in = tmp_path / "prodcheck"
    stand_in.write_text("#!/bin/sh\necho called; exit 4\n")
    stand_in.chmod(0o755)
    for revision, told in (({}, ""), ({"GIT_SHA": "r2"}, "called\n")):
        env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", **revision}
        words = [str(EXAMPLES / "pipeline.sh")]
        done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode != 0, done.stdout) == (True, told)


def test_the_workflow_is_one_by_githubs_schema() -> None:
    jsonschema, yaml = pytest.importorskip("jsonschema"), pytest.importorskip("yaml")
    vendored = importlib.util.find_spec("check_jsonschema")
    if vendored is None or vendored.origin is None:
        pytest.skip("GitHub's schema is not there: pip install check-jsonschema")
    path = Path(vendored.origin).parent / "builtin_schemas" / "vendor" / "github-workflows.json"
    validator = jsonschema.Draft7Validator(json.loads(path.read_text(encoding="utf-8")))
    workflow = yaml.safe_load((EXAMPLES / "github-workflow.yml").read_text(encoding="utf-8"))
    workflow["on"] = workflow.pop(True)  # YAML 1.1 takes "on" for true; GitHub does not
    assert [error.message for error in validator.iter_errors(workflow)] == []
    del workflow["jobs"]["deploy"]["runs-on"]
    assert not validator.is_valid(workflow)


def test_the_files_for_github_and_kubernetes_are_well_formed() -> None:
    yaml = pytest.importorskip("yaml")
    job = yaml.safe_load((EXAMPLES / "kubernetes-job.yaml").read_text(encoding="utf-8"))
    assert job["spec"]["backoffLimit"] == 0
    assert job["spec"]["template"]["spec"]["containers"][0]["command"] == ["./pipeline.sh"]
    workflow = yaml.safe_load((EXAMPLES / "github-workflow.yml").read_text(encoding="utf-8"))
    assert workflow["jobs"]["deploy"]["environment"] == "production"
    assert any(step.get("run") == "./pipeline.sh" for step in workflow["jobs"]["deploy"]["steps"])
