"""Code generated from asynq.proto. Never edit it: run ``nox -s proto -- --write``."""
