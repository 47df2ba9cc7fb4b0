"""Which objects each command prints. Schemas, documentation and tests go through this table."""

from __future__ import annotations

from msgspec import Struct

from purgeengine.json_output.check_output import CheckOutput
from purgeengine.json_output.envelope import Failed
from purgeengine.json_output.export_output import ExportOutput
from purgeengine.json_output.inventory_output import InventoryOutput
from purgeengine.json_output.log_line import LogLine
from purgeengine.json_output.plan_output import PlanOutput
from purgeengine.json_output.report_output import ReportOutput
from purgeengine.json_output.restore_output import RestoreOutput
from purgeengine.json_output.run_output import DemoOutput, RunOutput
from purgeengine.json_output.settings_output import SettingsOutput
from purgeengine.json_output.shard_output import ShardCollectOutput, ShardCutOutput
from purgeengine.json_output.simulate_output import SimulateOutput
from purgeengine.json_output.status_output import StatusOutput
from purgeengine.json_output.version_output import VersionOutput

OUTPUTS: dict[str, tuple[type[Struct], ...]] = {
    "inventory": (InventoryOutput, Failed),
    "plan": (PlanOutput, Failed),
    "check": (CheckOutput, Failed),
    "run": (RunOutput, PlanOutput, Failed),
    "status": (StatusOutput, Failed),
    "export": (ExportOutput, Failed),
    "retry": (RunOutput, PlanOutput, Failed),
    "restore": (RestoreOutput, Failed),
    "report": (ReportOutput, Failed),
    "shard cut": (ShardCutOutput, PlanOutput, Failed),
    "shard collect": (ShardCollectOutput, Failed),
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
