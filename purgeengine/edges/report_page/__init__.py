"""A ledger, or a chain of them, as one page for people: what was asked, what became of it, when, where it failed and why."""

from __future__ import annotations

from purgeengine.edges.report_page.findings import findings_of
from purgeengine.edges.report_page.render import render, write_page

__all__ = ["findings_of", "render", "write_page"]
