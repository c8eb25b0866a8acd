"""python -m training.benchmarks [NAME…]: a table of ratios."""

import argparse
import importlib
import sys

from training.benchmarks.figures import print_figures

BENCHMARKS = {
    "start_up": "help and a mistyped spec, against importing TensorFlow",
    "training_speed": "steps a second, against a bare Keras loop and against fit on float arrays",
    "logging_cost": "one report of five numbers, against json.dumps and an unbuffered append",
    "shared_memory": "four runs on one 1 GB store, against the size of the store",
    "search_quality": "bayes search after half the trials, against random search after all",
    "sweep_overhead": "what one more trial costs a sweep, against its budget",
    "trial_start": "from submit to the first line of a run's own code, against a budget",
    "many_trials": "sixteen short trials, against a shell loop, Optuna and Ray Tune",
    "line_rendering": "rendered lines, turned and noisy, against drawing and saving them one by one",
    "iam_preparation": "lines in the layout of IAM, light and slant corrected, against a straightforward version",
    "hwdb": "GNT files of HWDB: finding records and preparing images, against the loops of older recognisers",
    "line_finding": "lines found on pages without training, against a wanted F1 and a second a page",
    "line_metrics": "error rates of ten thousand lines with intervals and confusions, against a budget",
    "line_decoding": "beam search, against a budget and TensorFlow's",
    "line_reading": "the default reader in batches and alone, against budgets",
    "line_training_speed": "training a reader of lines, against a bare loop over the same batches",
    "records": "raw TFRecords against a PNG file each, and reading them against TensorFlow's pipeline",
    "ui": "the local page on a thousand runs: first answer, bytes a tick, idle cost, against budgets",
    "serving": "the prediction service with 32 clients, against one without batches and a network rebuilt a request",
    "run_list": "listing ten thousand run folders, against reading their files",
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="tasks/bench.sh", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)} (default: all)")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.names) - set(BENCHMARKS))
    if unknown:
        print(f"error: unknown benchmark '{unknown[0]}'. Known: {', '.join(BENCHMARKS)}.", file=sys.stderr)
        return 2
    figures = []
    for name in arguments.names or BENCHMARKS:
        print(f"{name}: {BENCHMARKS[name]}", file=sys.stderr, flush=True)
        figures += importlib.import_module(f"training.benchmarks.{name}").measure()
    print_figures(figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
