"""kubectl as a deployer would use it, in one namespace: what it applies, and what its dry run on the server says."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tests.cluster.build import folder
from tests.cluster.control_plane import ADMIN, ControlPlane

Object = dict[str, Any]
BATCH = 100


@dataclass(frozen=True)
class Kubectl:
    """kubectl with the administrator's rights, about one namespace."""

    plane: ControlPlane
    space: str

    def __call__(self, *words: str, text: str = "") -> subprocess.CompletedProcess[str]:
        """What it does and says."""
        config = self.plane.place / "kubectl.kubeconfig"
        if not config.exists():
            self.plane.kubeconfig("kubectl", ADMIN)
        return subprocess.run(
            [f"{folder()}/kubectl", f"--kubeconfig={config}", f"--namespace={self.space}", *words],
            input=text, capture_output=True, text=True, timeout=600, check=False,
        )  # fmt: skip

    def done(self, *words: str, text: str = "") -> str:
        """What it says of something that has to work."""
        found = self(*words, text=text)
        assert found.returncode == 0, found.stderr
        return found.stdout

    def apply(self, *objects: Object, server: bool = False) -> None:
        """Applies them for real."""
        for some in batched(objects):
            self.done("apply", *(["--server-side"] if server else []), "-f", "-", text=listed(*some))

    def refused(self, *objects: Object, server: bool = False, verb: str = "apply") -> dict[str, str]:
        """Of a dry run on the server: name -> "" for what it takes, else what it says of that object."""
        flags = ["--server-side"] if server else []
        told: dict[str, str] = {}
        for some in batched(objects):
            found = self(verb, "--dry-run=server", *flags, "-f", "-", text=listed(*some))
            taken = set(re.findall(r"^\S+?/(\S+) \S+ \(server dry run\)$", found.stdout, re.MULTILINE))
            names = [each["metadata"]["name"] for each in some]
            told |= {name: "" if name in taken else found.stderr or "not named" for name in names}
        return told

    def results(self, *objects: Object, server: bool = False) -> dict[str, Object]:
        """What a dry run on the server makes of objects that it takes, by name."""
        flags = ["--server-side"] if server else []
        flags += ["--dry-run=server", "-o", "json"]
        made: dict[str, Object] = {}
        for some in batched(objects):
            found = json.loads(self.done("apply", *flags, "-f", "-", text=listed(*some)))
            made |= {each["metadata"]["name"]: each for each in found.get("items", [found])}
        return made


def batched(objects: Sequence[Object]) -> Iterator[Sequence[Object]]:
    """A hundred at a time: a busy machine takes many minutes for hundreds, and the bound holds for each call."""
    return (objects[first : first + BATCH] for first in range(0, len(objects), BATCH))


def listed(*objects: Object) -> str:
    """They as one stream; a `List` would be validated by kubectl itself, all of it or nothing."""
    return "\n---\n".join(map(json.dumps, objects))
