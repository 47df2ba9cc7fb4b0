"""A ledger, or a chain of ledgers, as one page for people: what was asked, what became of it, when, and what failed and why."""

from __future__ import annotations

from purgeengine.edges.report_page.findings import findings_of
from purgeengine.edges.report_page.refreshing import follow
from purgeengine.edges.report_page.render import render, write_page

__all__ = ["findings_of", "follow", "render", "write_page"]
