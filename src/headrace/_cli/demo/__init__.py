"""The demo: real work on real files, sent through a queue, from enqueue to report."""
