"""Tests of the server's components, each alone."""
