"""The module in a real PowerShell, wherever there is one: pwsh (7), or powershell (5.1, on Windows)."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from live_bridge import LiveBridge
from powershell.readme import WORKER, blocks
from powershell.syntax import CLIENT, MODULE, broken, script_of
from powershell.transports import HERE
from waiting import eventually

SHELLS = [pytest.param(name, marks=pytest.mark.skipif(shutil.which(name) is None, reason=f"this machine has no {name}"))
          for name in ("pwsh", "powershell")]
RUN = ["-NoProfile", "-NonInteractive", "-ExecutionPolicy", "Bypass"]


@pytest.mark.slow
@pytest.mark.parametrize("shell", SHELLS)
def test_the_module_does_what_it_says(shell: str, bridge: LiveBridge) -> None:
    """Test-Module.ps1: values, errors, a worker by hand, and Start-TaskWorker with a handler for each fate."""
    done = subprocess.run([shell, *RUN, "-File", str(HERE / "Test-Module.ps1"), "-Url", bridge.url],
                          capture_output=True, encoding="utf-8", timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.rstrip().endswith("everything holds")


@pytest.mark.slow
@pytest.mark.parametrize("shell", SHELLS)
def test_the_worker_of_the_readme_works(shell: str, bridge: LiveBridge) -> None:
    """Its lines as they stand, but for the address of the bridge; a task that is submitted meanwhile is greeted."""
    text = blocks()[WORKER].replace("http://127.0.0.1:8091", bridge.url)
    task_id = bridge.submit("greet", {"name": "Zoë"})
    with subprocess.Popen([shell, *RUN, "-Command", text], cwd=CLIENT.parent.parent) as worker:
        try:
            eventually(lambda: bridge.get(f"/api/tasks/{task_id}/result").ok, 60, "the result")
        finally:
            worker.kill()
    assert bridge.get(f"/api/tasks/{task_id}/result").json()["data"] == {"message": "hello Zoë"}


@pytest.mark.slow
@pytest.mark.parametrize("shell", SHELLS)
def test_the_analyzer_finds_nothing(shell: str) -> None:
    """PSScriptAnalyzer, where it is installed, has nothing to say."""
    command = ("if (-not (Get-Module -ListAvailable -Name PSScriptAnalyzer)) { exit 75 }; "
               f"$found = Invoke-ScriptAnalyzer -Path '{MODULE}' -Recurse; $found | Out-String; exit $found.Count")
    done = subprocess.run([shell, *RUN, "-Command", command], capture_output=True, encoding="utf-8", timeout=110)
    if done.returncode == 75:
        pytest.skip("this PowerShell has no PSScriptAnalyzer")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_script_can_be_read() -> None:
    """What runs only where there is a PowerShell is at least its language."""
    assert broken(script_of(HERE / "Test-Module.ps1").root) == []
