"""Audits of runs: every number of a report is traced back to the archives and checked."""
