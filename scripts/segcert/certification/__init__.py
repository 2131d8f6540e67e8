"""Certification from votes: binomial tests, multiple testing, metrics and intervals.

This package needs only numpy and scipy.
"""
