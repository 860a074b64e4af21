"""Limits in the worker's parts, on virtual time."""
