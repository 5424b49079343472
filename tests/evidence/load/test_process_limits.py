"""What a watched process may use: its affinity for real, control groups by files as Linux documents them.

Making groups needs the rights of root and a writable hierarchy, which containers of CI do not have.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from pytest_prodcheck.evidence.load import process_limits
from pytest_prodcheck.evidence.load.process_limits import cores_of, memory_of

MB = 1024 * 1024


@pytest.mark.skipif(sys.platform != "linux", reason="no affinity")
def test_a_process_that_may_run_on_one_processor() -> None:
    code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); print(1, flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert 0 < cores_of(psutil.Process(child.pid)) <= 1
        child.kill()


@pytest.mark.parametrize(
    ("groups", "files", "cores", "memory"),
    [
        ("0::/system.slice/shop.service\n",
         {"system.slice/shop.service/cpu.max": "20000 100000", "system.slice/shop.service/memory.max": f"{512 * MB}"},
         0.2, 512 * MB),
        ("0::/a/b\n", {"a/cpu.max": "30000 100000", "a/memory.max": f"{64 * MB}", "a/b/memory.max": "max",
                       "a/b/cpu.max": "max 100000"}, 0.3, 64 * MB),
        ("4:cpu,cpuacct:/shop\n3:memory:/shop\n0::/\n",
         {"cpu,cpuacct/shop/cpu.cfs_quota_us": "50000", "cpu,cpuacct/shop/cpu.cfs_period_us": "100000",
          "memory/shop/memory.limit_in_bytes": f"{32 * MB}"}, 0.5, 32 * MB),
        ("4:cpu:/shop\n3:memory:/shop\n",
         {"cpu/shop/cpu.cfs_quota_us": "-1", "cpu/shop/cpu.cfs_period_us": "100000",
          "memory/shop/memory.limit_in_bytes": "9223372036854771712"}, None, None),
        ("0::/../elsewhere\n", {}, None, None),
        ("nonsense\n", {}, None, None),
    ],
    ids=["systemd", "above", "version 1", "unlimited", "of another namespace", "nonsense"],
)  # fmt: skip
def test_what_its_control_group_allows(
    groups: str, files: dict[str, str], cores: float | None, memory: int | None, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """moby/moby, systemd.resource-control(5): CPUQuota=20%, MemoryMax=512M on a machine of many cores."""
    me = psutil.Process()
    for name, text in files.items():
        (tmp_path / "groups" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "groups" / name).write_text(f"{text}\n")
    (tmp_path / str(me.pid)).mkdir()
    (tmp_path / str(me.pid) / "cgroup").write_text(groups)
    monkeypatch.setattr(process_limits, "ROOT", tmp_path / "groups")
    monkeypatch.setattr(process_limits, "PROC", tmp_path)
    assert cores_of(me) == (cores or len(me.cpu_affinity()))
    assert memory_of(me) == (memory or psutil.virtual_memory().total)
