"""python -m training.tests.fuzzing: see the package."""

import argparse
import sys
import warnings
from pathlib import Path

from training.tests.fuzzing import __doc__ as about
from training.tests.fuzzing.campaign import Campaign, Tally, replayed
from training.tests.fuzzing.targets import TARGETS

ROW = "{:<16} {:>8} {:>9} {:>8} {:>10} {:>6} {:>11} {:>9} {:>11}"
HEAD = ("target", "inputs", "accepted", "refused", "tracebacks", "hangs", "over 1 GB", "slowest s", "largest MB")
INPUTS = "for each target, fewer where one takes long (default: %(default)s)"


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m training.tests.fuzzing",
        description=about,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="targets (default: all), or files of finds")
    parser.add_argument("--inputs", type=int, default=1000, metavar="N", help=INPUTS)
    parser.add_argument("--seed", default="0", help="of the inputs (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=1, metavar="J", help="workers at once (default: %(default)s)")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where finds are written to")
    parser.add_argument("--list", action="store_true", help="print the names of the targets, and stop")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    if arguments.list:
        print("\n".join(TARGETS))
        return 0
    if arguments.targets and all(name.endswith(".zip") for name in arguments.targets):
        return _replay([Path(name) for name in arguments.targets])
    unknown = sorted(set(arguments.targets) - TARGETS.keys())
    if unknown:
        parser.error(f"there is no target '{unknown[0]}'. Targets: {', '.join(TARGETS)}")
    print(ROW.format(*HEAD))
    total = Tally("all")
    for name in arguments.targets or TARGETS:
        tally = Campaign(TARGETS[name], arguments.seed, arguments.jobs).run(arguments.inputs)
        _print_row(tally)
        for count, first in tally.finds.values():
            kept = f" {first.keep(arguments.keep)}" if arguments.keep else ""
            error = first.error.splitlines()[-1][:160]
            print(f"  {count} x {first.place}: {error!r} (input {first.index}{kept})", flush=True)
        total.count(tally.accepted, tally.refused, tally.slowest_s, tally.largest_mb)
        total.bad = {kind: count + tally.bad[kind] for kind, count in total.bad.items()}
    _print_row(total)
    return 1 if any(total.bad.values()) else 0


def _print_row(tally: Tally) -> None:
    numbers = (tally.inputs, tally.accepted, tally.refused, *tally.bad.values())
    print(ROW.format(tally.target, *numbers, f"{tally.slowest_s:.2f}", f"{tally.largest_mb:.0f}"), flush=True)


def _replay(paths: list[Path]) -> int:
    bad = False
    for path, tally in replayed(paths):
        finds = [find for _, find in tally.finds.values()]
        bad |= bool(finds)
        outcome = f"refused: {tally.refusal}" if tally.refused else "accepted"
        print(f"{path}: {f'{finds[0].kind}: {finds[0].error}' if finds else outcome}", flush=True)
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
