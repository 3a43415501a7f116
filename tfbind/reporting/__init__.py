"""What came of a run, as one page for people."""

from tfbind.reporting.page import report as report

__all__ = ["report"]
