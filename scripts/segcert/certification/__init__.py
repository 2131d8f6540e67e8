"""Votes to certificates: binomial tests, multiple testing, metrics, intervals. Needs numpy and scipy only."""
