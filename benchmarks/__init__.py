"""Headrace and its peers, measured on one Redis: ``python -m benchmarks --help``."""
