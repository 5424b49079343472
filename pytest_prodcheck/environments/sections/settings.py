"""Settings that what is deployed will read: where they are, and what each has to be."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pytest_prodcheck.environments.kinds import Kind
from pytest_prodcheck.environments.listing.release import settings_targets
from pytest_prodcheck.environments.rules.release import settings_complaints
from pytest_prodcheck.environments.sections.base import Name, Regex, Section

Key = Annotated[str, Field(min_length=1, max_length=200)]


class Setting(Section):
    """One setting."""

    # what its value has to be; a duration carries its unit ("90s", "1h30m", "PT5M")
    type: Literal["string", "int", "bool", "url", "duration"] = "string"
    one_of: Annotated[tuple[str, ...], Field(min_length=1)] | None = None  # the values that it may have
    # regular expression that the whole value must match
    matches: Regex | None = None
    # true: its value is never shown and must be none that everybody knows; where left out, as its name sounds
    secret: bool | None = None
    optional: bool = False  # true: it may be missing


class Settings(Section):
    """One source of settings: a file, or a ConfigMap of the declared cluster."""

    # file with the settings, relative to prodcheck.toml; `{unit}` and `{revision}` are filled in, in `configmap` too
    file: str | None = None
    # form of the file; where left out, as its name ends (.env, .json, .toml, .yaml)
    format: Literal["env", "json", "toml", "yaml"] | None = None
    # ConfigMap, from `kubernetes.manifests` where it is in them, else from the cluster's namespace
    configmap: str | None = None
    entry: str | None = None  # entry of the ConfigMap that holds a whole file, such as "application.yaml"
    # setting -> what it has to be; in JSON, TOML and YAML "database.host" is a key within a table
    keys: Annotated[dict[Key, Setting], Field(min_length=1)]
    unit: Name | None = None  # unit that reads it; judged for every unit where left out
    owner: str = ""  # who is asked when it fails; shown in reports and verdicts


KINDS = (
    Kind(
        section="settings",
        awaited={"settings": ()},
        targets=settings_targets,
        rules=settings_complaints,
    ),
)
