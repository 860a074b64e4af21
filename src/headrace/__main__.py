"""``python -m headrace``: the command line."""

from __future__ import annotations

import sys

__all__ = ["main"]

EXTRA = frozenset({"rich", "typer"})
"""What the extra ``cli`` brings; the core does without."""


def main() -> None:
    """Run the command line and end the process with its exit code."""
    try:
        from headrace._cli.app import start  # noqa: PLC0415 - its packages may be missing
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in EXTRA:
            raise
        sys.exit('The command line needs more packages. Install them: pip install "headrace[cli]"')
    start()


if __name__ == "__main__":
    main()
