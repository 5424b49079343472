"""Pages of the site that lie elsewhere in the repository or follow from other pages; mkdocs.yml names it as a hook."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
ELSEWHERE = {"SECURITY.md": "SECURITY.md", "CHANGELOG.md": "CHANGELOG.md", "bench/README.md": "bench.md"}
SUITES = ("smoke", "security", "performance", "data_integrity", "pre_deploy")
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)(#[^)\s]+)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages from elsewhere, and the list of runbooks."""
    for source, page in ELSEWHERE.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text(encoding="utf-8")))
    files.append(File.generated(config, "runbooks/index.md", content=runbooks()))
    return files


def runbooks() -> str:
    """All runbooks by suite, and those of incidents."""
    names = sorted(path.stem for path in (ROOT / "docs" / "runbooks").glob("*.md"))
    parts = ["# Runbooks\n\nWhat to do when a check fails. `prodcheck explain CHECK` prints the same page.\n"]
    for title in (*SUITES, "incidents"):
        mine = [name for name in names if (name.partition(".")[0] if "." in name else "incidents") == title]
        if mine:
            parts.append(
                f"## {title}\n\n" + "\n".join(f"- [{name}]({name}.md): {question(name)}" for name in mine) + "\n"
            )
    return "\n".join(parts)


def question(name: str) -> str:
    """What a runbook is about: its first paragraph."""
    return (ROOT / "docs" / "runbooks" / f"{name}.md").read_text(encoding="utf-8").split("\n\n")[1].replace("\n", " ")


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Links to files of the repository lead to their pages on the site; `--strict` tells of those without one."""
    source = page.file.src_uri
    there = {new: old for old, new in ELSEWHERE.items()}.get(source, f"docs/{source}")

    def led(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(there), match[1]))
        if target in ELSEWHERE:
            new = ELSEWHERE[target]
        elif target.startswith("docs/"):
            new = target.removeprefix("docs/")
        else:
            return match[0]
        return f"]({posixpath.relpath(new, posixpath.dirname(source) or '.')}{match[2] or ''})"

    return LINK.sub(led, markdown)
