"""What a stage cost. Each stage is a process of its own, and asks the system about itself when it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU and memory include the start of Python. The time does not: it is that of the stage itself."""

    wall_s: float
    cpu_s: float
    peak_mib: float


def peak_mib() -> float:
    """Return the most memory, in MiB, that this process ever held."""
    if sys.platform == "win32":
        import psutil

        return float(psutil.Process().memory_info().peak_wset) / (1 << 20)
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / (1 << 20)


def tell(started: float, figures: dict[str, Any]) -> None:
    """Print what the stage cost since ``started`` (`time.perf_counter`), and its figures. The stage calls it."""
    cost = Cost(time.perf_counter() - started, time.process_time(), peak_mib())
    print(json.dumps({"cost": asdict(cost), "figures": figures}), flush=True)


def run_stage(stage: str, folder: Path, **options: Any) -> tuple[Cost, dict[str, Any]]:
    """Run a stage in a process of its own.

    This process must stay small: a new process counts the memory of the one that started it as its own peak.
    """
    command = [sys.executable, "-m", "benchmarks.scale.stages", stage, str(folder), json.dumps(options, default=str)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False, env=os.environ, text=True)
    if done.returncode:
        raise SystemExit(f"the stage {stage} ended with {done.returncode}")
    found = json.loads(done.stdout.splitlines()[-1])
    return Cost(**found["cost"]), found["figures"]
