"""Looks at queues and tasks, and changes them by hand."""

from headrace._inspector.inspector import Inspector

__all__ = ["Inspector"]
