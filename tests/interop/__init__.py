"""Headrace and real programs of asynq's, on one Redis."""
