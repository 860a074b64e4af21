"""Headrace's tests."""
