"""Finds what is damaged in Redis, and puts it right, while workers run."""
