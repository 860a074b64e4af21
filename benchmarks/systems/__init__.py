"""One program for each system: its producer and its worker. Each runs in an environment of its own.

They import nothing of this package but `adapter`, which needs only the standard library.
"""
