"""Tests of the audit and of the reconciler."""
