"""Which objects each command prints. Schemas, documentation and tests go through this table."""

from __future__ import annotations

from msgspec import Struct

from purgeengine.json_output.check import CheckOutput
from purgeengine.json_output.envelope import Failed
from purgeengine.json_output.export import ExportOutput
from purgeengine.json_output.log import LogLine
from purgeengine.json_output.preview import PlanOutput
from purgeengine.json_output.report import ReportOutput
from purgeengine.json_output.run import DemoOutput, RunOutput
from purgeengine.json_output.settings import SettingsOutput
from purgeengine.json_output.simulate import SimulateOutput
from purgeengine.json_output.status import StatusOutput
from purgeengine.json_output.version import VersionOutput

OUTPUTS: dict[str, tuple[type[Struct], ...]] = {
    "plan": (PlanOutput, Failed),
    "check": (CheckOutput, Failed),
    "run": (RunOutput, PlanOutput, Failed),
    "status": (StatusOutput, Failed),
    "export": (ExportOutput, Failed),
    "retry": (RunOutput, PlanOutput, Failed),
    "report": (ReportOutput, Failed),
    "simulate": (SimulateOutput, Failed),
    "config show": (SettingsOutput, Failed),
    "demo": (DemoOutput, Failed),
    "version": (VersionOutput, Failed),
}
"""The objects that a command may print, by its name."""
LOG = "log"
LOG_LINES: tuple[type[Struct], ...] = (LogLine,)
"""What a line of the log is."""


def file_of(name: str) -> str:
    """Return the name of the schema file of a command, or of the log."""
    return f"{name.replace(' ', '-')}.json"
