"""python -m training.benchmarks [NAME…]: a table of ratios."""

import argparse
import importlib
import sys

from training.benchmarks.harness import print_figures

# The functions of each module; what they measure is in their docstrings.
BENCHMARKS = {
    name: module
    for module, functions in {
        "starting": "start_up trial_start many_trials logging_cost run_list",
        "training_speed": "training_speed hanzi_training_speed line_training_speed",
        "sweeps": "search_quality sweep_overhead",
        "character_data": "hwdb hwdb_whole records ten_million",
        "lines": "line_rendering iam_preparation line_decoding line_reading",
        "servers": "ui serving",
    }.items()
    for name in functions.split()
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="tasks/bench.sh", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)} (default: all)")
    names = parser.parse_args().names
    unknown = sorted(set(names) - set(BENCHMARKS))
    if unknown:
        print(f"error: unknown benchmark '{unknown[0]}'. Known: {', '.join(BENCHMARKS)}.", file=sys.stderr)
        return 2
    figures = []
    for name in names or BENCHMARKS:
        benchmark = getattr(importlib.import_module(f"training.benchmarks.{BENCHMARKS[name]}"), name)
        print(f"{name}: {benchmark.__doc__}", file=sys.stderr, flush=True)
        figures += benchmark()
    print_figures(figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
