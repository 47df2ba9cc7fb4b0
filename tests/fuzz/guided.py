"""A target in a process of its own, with every branch of this project's code watched: ``guided.py TARGET LIBFUZZER-OPTIONS``."""

from __future__ import annotations

import io
import sys
import tempfile
from importlib import import_module
from pathlib import Path

import atheris


def main() -> None:
    """Fuzz the target. Never returns: libFuzzer ends the process."""
    name = sys.argv.pop(1)
    sys.argv[0] = f"{sys.executable} -m tests.fuzz.guided {name}"  # libFuzzer starts us again so when it merges
    with atheris.instrument_imports(include=["purgeengine"]):
        case = import_module(f"tests.fuzz.targets.{name}").case
        logs = import_module("purgeengine.logs")
    logs.configure_logs("console", quiet=True, stream=io.StringIO())
    if (memory := Path("/dev/shm")).is_dir():
        tempfile.tempdir = str(memory)  # nothing here must survive, and a sync costs more than the rest of a case
    atheris.Setup(sys.argv, case)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
