"""The command line: ``python -m benchmarks run`` measures, ``report`` writes tables and plots."""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.redis_server import RedisServer, find_redis_server

from benchmarks.catalog import BY_NAME
from benchmarks.environments import ROOT, Environments
from benchmarks.measures import measures
from benchmarks.report import report
from benchmarks.results import Results
from benchmarks.runner import Runner
from benchmarks.sizes import PROFILES
from benchmarks.stand import Stand

if TYPE_CHECKING:
    from collections.abc import Sequence

HOME = ROOT / ".benchmarks"


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what the command line asks for."""
    args = _parser().parse_args(arguments)
    if args.command == "run":
        run(args)
    else:
        report(Results(args.results), args.page)


def run(args: argparse.Namespace) -> None:
    """Measure, and write what was measured to the file of results."""
    results = Results(args.results)
    if results.header.get("profile", args.profile) != args.profile:
        raise SystemExit(
            f"{args.results} holds results of the profile {results.header['profile']!r}. "
            f"Name another file with --results, or delete this one."
        )
    with contextlib.ExitStack() as stack:
        url = args.redis or stack.enter_context(_own_redis()).url
        stand = Stand(url, Environments(args.home), PROFILES[args.profile], args.home / "logs")
        stack.callback(stand.close)
        runner = Runner(stand, [BY_NAME[name] for name in args.systems or BY_NAME], results)
        runner.describe(args.profile)
        chosen = [m for m in measures(stand.sizes) if not args.only or m.name in args.only]
        runner.run(chosen, args.repeat or stand.sizes.repetitions)


def _own_redis() -> RedisServer:
    executable = find_redis_server()
    if executable is None:
        raise SystemExit("Found no redis-server or valkey-server. Name a Redis with --redis URL.")
    return RedisServer(executable)


def _parser() -> argparse.ArgumentParser:
    names = {measure.name for sizes in PROFILES.values() for measure in measures(sizes)}
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    runs = commands.add_parser("run", help="measure, beginning where an earlier run ended")
    runs.add_argument("--profile", choices=PROFILES, default="quick")
    runs.add_argument("--only", nargs="+", metavar="MEASURE", choices=sorted(names))
    runs.add_argument("--systems", nargs="+", metavar="SYSTEM", choices=BY_NAME)
    runs.add_argument("--repeat", type=int, metavar="N", help="repetitions; default: the profile's")
    runs.add_argument("--redis", metavar="URL", help="a Redis to use, and to EMPTY; default: own")
    runs.add_argument("--home", type=Path, default=HOME, help="where the environments are kept")
    reports = commands.add_parser("report", help="write the tables and plots of docs/benchmarks.md")
    reports.add_argument("--page", type=Path, default=ROOT / "docs" / "benchmarks.md")
    for command in (runs, reports):
        command.add_argument("--results", type=Path, default=HOME / "results.jsonl")
    return parser


if __name__ == "__main__":
    # Ended from outside, it still ends what it has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    main()
