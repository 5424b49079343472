"""Every answer of gate, exec and needs against the reference in `model_world`, on sequences that Hypothesis invents.

40 of them; PRODCHECK_SOAK=1: 5,000, in parts of 100 with a seed each. PRODCHECK_MODEL_CODE=FOLDER: another checkout's
code; PRODCHECK_MODEL_HUNT=FILE: what is found is written there, with the number of the example, and the hunt goes on.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from tests.gates.model_project import Commands, RealProject, texts
from tests.gates.model_world import CLOSED, EXTRAS, GATES, OPEN, USAGE, Files, State, World

SOAK = bool(os.environ.get("PRODCHECK_SOAK"))
EXAMPLES = int(os.environ.get("PRODCHECK_MODEL_EXAMPLES", 5000 if SOAK else 40))
PART = 100 if SOAK else EXAMPLES
HUNT = os.environ.get("PRODCHECK_MODEL_HUNT", "")
environments = st.sampled_from(sorted(GATES))
revisions = st.sampled_from([None, None, "r1", "r2", ""])  # given on the command line
meddlings = st.sampled_from(["", "", "", "", "killed", "narrowed"])
variables = st.sampled_from(["", "", "r1", "r2"])


class Gates(RuleBasedStateMachine):
    """One project, and everything that people do to it."""

    commands: Commands
    folder: Path
    example = 0

    def __init__(self) -> None:
        super().__init__()
        type(self).example += 1
        self.world, self.snapshots, self.lost = World(), [Files()], False
        self.keys = 0
        self.kept: list[tuple[Path, State]] = []
        self.real = RealProject(self.folder / f"p{type(self).example}", self.commands)
        self.real.put(self.world.files)
        self.done: list[str] = []

    # -- what is asked

    @rule(environment=environments, given=revisions, variable=variables, how=st.sampled_from(["gate", "exec"]))
    def ask(self, environment: str, given: str | None, variable: str, how: str) -> None:
        code = self.real.ask(self.world.now, how, environment, given, _env(variable))
        wanted = self.world.answer(environment, given, variable)
        got = OPEN if code == 0 else USAGE if code == 2 and wanted == USAGE else CLOSED
        self._compare(got, wanted, f"{how} {environment} {given} {variable!r}")

    @rule(environment=environments, given=revisions, variable=variables, meddled=meddlings)
    def run(self, environment: str, given: str | None, variable: str, meddled: str) -> None:
        self._run(environment, given, variable, meddled, None)
        self.ask(environment, given, variable, "gate")

    @rule(environment=environments, limit=st.sampled_from([10, 20, 1000]))
    def run_and_edit_meanwhile(self, environment: str, limit: int) -> None:
        self._run(environment, None, "", "", replace(self.world.files, limit=limit))
        self.ask(environment, None, "", "gate")

    @rule(first=environments, second=environments, given=revisions, variable=variables)
    def runs_overlap(self, first: str, second: str, given: str | None, variable: str) -> None:
        self.done.append(f"run {first} {given} {variable!r} begins")
        self.real.begin(self.world.now, first, given, _env(variable))
        begun = self.world.begin(first, given, variable)
        self.ask(first, None, "", "gate")
        self._run(second, None, "", "", None)
        self.ask(second, None, "", "gate")
        self.real.end()
        self.world.end(first, begun)
        self.done.append(f"run {first} ends")
        self._ask_all()

    @rule(variable=variables)
    def promote(self, variable: str) -> None:
        self._run("prod", None, variable, "", None)
        self.ask("prod", None, variable, "gate")

    @rule(environment=environments, given=revisions, variable=variables)
    def override(self, environment: str, given: str | None, variable: str) -> None:
        self.real.ask(self.world.now, "override", environment, given, _env(variable))
        self.world.override(environment, given, variable)
        self.done.append(f"override {environment} {given} {variable!r}")
        for revision in ("r1", "r2"):
            self.ask(environment, revision, "", "gate")

    # -- what is changed

    @rule(environment=environments, value=st.sampled_from([1.0, 11.0, 2.0]))
    def edit_configuration(self, environment: str, value: float) -> None:
        self._edit(values=tuple((name, value if name == environment else old) for name, old in self.world.files.values))

    @rule(written=st.sampled_from(["r1", "r2", ""]))
    def edit_revision(self, written: str) -> None:
        self._edit(written=written)

    @rule(waived=st.sampled_from(["", "one", "all"]))
    def waive(self, waived: str) -> None:
        self._edit(waived=waived)

    @rule(limit=st.sampled_from([10, 20, 1000]))
    def edit_check(self, limit: int) -> None:
        self._edit(limit=limit)

    @rule(extra=st.sampled_from(EXTRAS))
    def add_rename_or_remove_check(self, extra: str) -> None:
        """From an open gate where there can be one: a closed one cannot tell whether the file is missed."""
        if self.world.answer("dev", None, "", overridden=False) != OPEN:
            self.run("dev", None, "", "")
        self._edit(extra=extra)
        self.run("dev", None, "", "")

    @rule(name=st.sampled_from(["conftest", "helper", "included"]), text=st.sampled_from(["", "a", "b"]))
    def edit_conftest_helper_or_include(self, name: str, text: str) -> None:
        self._edit(**{name: text})

    @rule(back=st.integers(0, 9))
    def roll_back(self, back: int) -> None:
        self._files(self.snapshots[back % len(self.snapshots)])

    @rule(by=st.sampled_from([60.0, 1000.0, -3600.0]))
    def change_the_clock(self, by: float) -> None:
        self.world.now += by
        self.done.append(f"clock {by}")
        self._ask_all()

    @rule(place=st.integers(0, 3), carry=st.booleans())
    def go_to_another_checkout(self, place: int, carry: bool) -> None:
        self.real.go(place, carry)
        self.world.go(place, carry)
        self.done.append(f"checkout {place} {'with the state' if carry else ''}")
        self._ask_all()

    @rule()
    def keep_the_state(self) -> None:
        self.kept.append((self.real.keep(), self.world.state))
        self.done.append("keep")

    @rule(back=st.integers(0, 9), environment=st.sampled_from(["", *GATES]))
    def put_the_state_back(self, back: int, environment: str) -> None:
        if not self.kept:
            return self.keep_the_state()
        kept, state = self.kept[back % len(self.kept)]
        if environment:  # its verdict alone
            self.real.put_back(kept, f"verdicts/{environment}/_/_/{GATES[environment]}.json")
            mine = dict(self.world.state.judged)
            mine.pop(environment, None)
            theirs = {name: each for name, each in state.judged.items() if name == environment}
            self.world.state = replace(self.world.state, judged=mine | theirs)
        else:
            self.real.put_back(kept)
            self.world.state = state
        self.done.append(f"put back {environment or 'all'} of {kept.name}")
        self._ask_all()
        return None

    @rule()
    def change_the_key(self) -> None:
        (self.real.state / "key").unlink(missing_ok=True)
        self.keys += 1
        self.world.state = replace(self.world.state, key=self.keys)
        self.done.append("key")
        self._ask_all()

    # -- the rest

    def teardown(self) -> None:
        self.real.remove()

    def _run(self, environment: str, given: str | None, variable: str, meddled: str, edited: Files | None) -> None:
        env = _env(variable)
        if edited is not None:
            env["MODEL_EDIT"] = json.dumps({"checks/test_facts.py": texts(edited)["checks/test_facts.py"]})
        self.real.run(self.world.now, environment, given, env, meddled)
        reached = texts(edited)["checks/test_facts.py"] if edited else ""
        if edited is not None and (self.real.folder / "checks/test_facts.py").read_text() != reached:
            edited = None  # the run did not come so far
        self.world.end(environment, self.world.begin(environment, given, variable), meddled, edited)
        self.done.append(f"run {environment} {given} {variable!r} {meddled} {'edited' if edited else ''}")

    def _edit(self, **changes: object) -> None:
        self._files(replace(self.world.files, **changes))  # type: ignore[arg-type]

    def _files(self, files: Files) -> None:
        self.world.files = files
        self.snapshots.append(files)
        self.real.put(files)
        self.done.append(f"files {files}")
        self._ask_all()
        if "dev" in self.world.state.judged and len(self.snapshots) % 3 == 0:
            self.promote("")

    def _ask_all(self) -> None:
        """About what was judged last: whatever has changed since, it holds or does not."""
        for environment, judged in list(self.world.state.judged.items()):
            self.ask(environment, judged.revision or None, "", "gate")

    def _compare(self, got: str, wanted: str, asked: str) -> None:
        self.done.append(f"{asked} -> {got}")
        if got == wanted or self.lost:
            return
        if HUNT:
            if got != OPEN:
                return  # what is hunted opens
            self.lost = True  # what follows in this sequence may follow from it
            with open(HUNT, "a", encoding="utf-8") as file:
                found = [self.example, got, wanted, self.world.why, self.done, self.commands.said()]
                print(json.dumps(found), file=file)
            return
        steps = "\n".join(self.done)
        raise AssertionError(f"{asked}: {got}, expected {wanted} ({self.world.why})\n{steps}\n{self.commands.said()}")


def _env(variable: str) -> dict[str, str]:
    return {"PRODCHECK_REVISION": variable} if variable else {}


@pytest.fixture(scope="module")
def commands() -> Iterator[Commands]:
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as folder:
        made = Commands(Path(folder))
        yield made
        made.close()


@pytest.mark.parametrize("part", range(-(-EXAMPLES // PART)))
def test_every_answer_is_that_of_the_reference(commands: Commands, part: int) -> None:
    Gates.commands, Gates.folder, Gates.example = commands, commands.folder, 0
    run_state_machine_as_test(
        seed(part)(Gates) if SOAK else Gates,
        settings=settings(
            max_examples=min(PART, EXAMPLES - part * PART),
            stateful_step_count=10,
            deadline=None,
            database=None,
            phases=(Phase.generate,),  # what was done is told anyway
            derandomize=not (HUNT or SOAK),
            print_blob=False,
            suppress_health_check=list(HealthCheck),
        ),
    )
