"""A loaded configuration: its environments by name, unit and slot, where each value came from, digests, thresholds."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pytest_prodcheck.environments.project import Environment, Project, Threshold
from pytest_prodcheck.environments.queries import in_slot
from pytest_prodcheck.environments.targets import Target, key_path
from pytest_prodcheck.environments.toml.errors import ConfigurationError, Mistake, did_you_mean, dotted
from pytest_prodcheck.environments.toml.trees import Tree

ThresholdLine = tuple[int, str, Literal["off"] | Threshold]  # layer (0 global, 1 environment), pattern, value


@dataclass(frozen=True)
class Configuration:
    """prodcheck.toml, valid and resolved.

    root: its folder. files: name relative to the root -> SHA-256 hex, and "include:PATTERN" -> SHA-256 hex of the names
    that the pattern matched, sorted, one a line.
    """

    project: Project
    root: Path
    path: Path
    files: Mapping[str, str]
    trees: Mapping[str, Tree] = field(repr=False)  # of all environments, abstract ones too

    def environment(self, name: str, unit: str = "", slot: str = "") -> Environment:
        """An environment for one unit ("" for all) and slot ("" for what is live).

        Services of other units stay, because logins and workflows go through them; `targets` narrows. A slot sets
        `connect_to` of the services in scope. Raises ConfigurationError for what does not exist.
        """
        there = self.project.environments
        if name in self.trees and name not in there:
            self._refuse(
                "--env", (f"environment `{name}` is abstract: other environments extend "
                    "it, it cannot be checked itself"), did_you_mean(name, there)
            )
        if name not in there:
            self._refuse("--env", f"there is no environment `{name}`", did_you_mean(name, there))
        environment = there[name]
        if unit and unit not in environment.units:
            self._refuse("--unit", f"environment `{name}` has no unit `{unit}`", did_you_mean(unit, environment.units))
        if slot and slot not in environment.slots:
            self._refuse("--slot", f"environment `{name}` has no slot `{slot}`", did_you_mean(slot, environment.slots))
        environment = environment.model_copy(update={"unit": unit, "slot": slot})
        return _in_slot(environment, unit, slot) if slot else environment

    def _refuse(self, key: str, message: str, hint: str) -> None:
        raise ConfigurationError([Mistake(self.path.name, None, key, message, hint)])

    def provenance(self, environment: Environment | str) -> Mapping[str, str]:
        """Key path -> "prodcheck.toml:12", with " (environments.base)" where it was inherited."""
        name = environment if isinstance(environment, str) else environment.name
        found = {}
        for path, origin in self.trees[name].origins.items():
            where = f"{origin.file}:{origin.line}" if origin.line else origin.file
            source = ".".join(origin.path[:2])
            found[dotted(path)] = where if source == f"environments.{name}" else f"{where} ({source})"
        found.pop("", None)
        return found

    def places(self, environment: Environment, targets: Iterable[Target]) -> dict[str, str]:
        """"kind:name" of each target -> "ops/prodcheck.toml:12", the file as seen from its repository's root.

        "environment:" is where the environment itself is declared.
        """
        tree, top = self.trees[environment.name], repository(self.root)
        keys = {f"{target.kind}:{target.name}": key_path(environment, target) for target in targets}
        found = {}
        for name, path in {**keys, "environment:": ()}.items():
            origin = tree.origin(path)
            if origin is not None:
                file = os.path.relpath(self.root / origin.file, top)
                found[name] = f"{Path(file).as_posix()}:{origin.line or 1}"
        return found

    def thresholds(self, environment: Environment) -> tuple[ThresholdLine, ...]:
        """`(layer, pattern, value)`: layer 0 is global, 1 the environment's and wins; value is "off" or a Threshold."""
        lower: list[ThresholdLine] = [(0, pattern, value) for pattern, value in self.project.thresholds.items()]
        return (*lower, *((1, pattern, value) for pattern, value in environment.thresholds.items()))

    def digest(self, environment: Environment) -> str:
        """SHA-256 hex of the resolved environment with the thresholds that apply; the order of keys does not matter."""
        lines = [
            [layer, pattern, value if isinstance(value, str) else value.model_dump(mode="json")]
            for layer, pattern, value in self.thresholds(environment)
        ]
        plain = {
            "project": self.project.project,
            "environment": environment.model_dump(mode="json", by_alias=True),
            "thresholds": sorted(lines, key=lambda line: (line[0], line[1])),
        }
        text = json.dumps(plain, sort_keys=True, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode("ascii")).hexdigest()


def repository(folder: Path) -> Path:
    """The nearest folder upward that holds a repository (`.git`), the folder itself where there is none."""
    return next((each for each in (folder, *folder.parents) if (each / ".git").exists()), folder)


def _in_slot(environment: Environment, unit: str, slot: str) -> Environment:
    """`connect_to` of the services in scope replaced by the slot's addresses."""
    there = environment.slots[slot]
    scope = environment.units[unit].services if unit else tuple(environment.services)
    services = dict(environment.services)
    for name in scope:
        if in_slot(environment, name, slot):
            address = there.services.get(name) or there.connect_to
            services[name] = services[name].model_copy(update={"connect_to": address})
    return environment.model_copy(update={"services": services})
