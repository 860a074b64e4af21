"""What type checkers make of the public names."""  # noqa: A005 - it is within tests
