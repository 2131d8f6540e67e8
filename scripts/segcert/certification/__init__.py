"""Certification of votes: binomial tests, multiple testing, metrics and intervals. Needs only numpy and scipy."""
