"""Audits of runs: every number in a report is traced back to the archives and checked."""
