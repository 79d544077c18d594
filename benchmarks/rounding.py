"""How far the roundings of a machine move a comparison's numbers, beside its spread over seeds.

    python -m benchmarks.rounding                        # the recipe tiny, seeds 50 and 51
    python -m benchmarks.rounding --seeds "50 51 52" ppo.total_episodes=1920

The same seeds of the same recipe are trained whole, SFT included, once under each way of rounding:
sums of floats come in another order with other vector instructions or another number of threads,
and training makes the last digit grow. Every way is a process of its own; the stages stand in
``--directory``, so a second call goes on. What another kind of processor does lies near what other
instructions do on this one; how near, nothing here measures.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from rlhf_compare.metrics import METRICS
from rlhf_compare.reporting.method_schema import Estimate
from rlhf_compare.reporting.numbers import display_name
from rlhf_compare.reporting.results import load_results
from rlhf_compare.reporting.schema import Results

_ROOT = Path(__file__).resolve().parents[1]
BASE = "one thread, every instruction"
WAYS: dict[str, dict[str, str]] = {
    BASE: {"OMP_NUM_THREADS": "1"},
    "one thread, no vector instructions of torch, oneDNN and MKL beyond SSE 4": {
        "OMP_NUM_THREADS": "1",
        "ATEN_CPU_CAPABILITY": "default",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
    },
    "two threads, every instruction": {"OMP_NUM_THREADS": "2"},
}
Values = dict[tuple[str, str], list[float]]  # (method, metric) -> a number a seed


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.rounding", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--recipe", default="tiny", help="a name or a file (tiny)")
    parser.add_argument("--seeds", default="50 51", help='of the methods ("50 51")')
    parser.add_argument(
        "--ways", type=int, default=2, choices=(2, 3), help="of rounding; 3 = two threads, too (2)"
    )
    parser.add_argument("--directory", type=Path, default=_ROOT / ".bench" / "rounding")
    parser.add_argument("--out", type=Path, help="write everything measured there as JSON")
    parser.add_argument("overrides", nargs="*", help="section.field=value")
    return parser.parse_args(arguments)


def train(way: str, place: Path, options: argparse.Namespace) -> Results:
    """The whole comparison under one way of rounding."""
    command = [sys.executable, "-m", "rlhf_compare.cli", "compare", "--recipe", options.recipe]
    command += ["--seeds", options.seeds, "--runs", str(place / "runs")]
    command += ["--reports", str(place / "reports"), *options.overrides]
    environment = {**os.environ, "WANDB_MODE": "disabled", **WAYS[way]}
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    (found,) = (place / "reports").glob("*/results.json")
    return load_results(found)


def values_of(results: Results) -> Values:
    """The headline metrics of each method but SFT, of each seed."""
    found: Values = {}
    for name, method in results.methods.items():
        for metric in METRICS:
            value = method.measured(metric.path) if metric.headline and name != "sft" else None
            if isinstance(value, Estimate) and None not in value.by_seed:
                found[name, metric.path] = [float(v) for v in value.by_seed if v is not None]
    return found


def moved(base: Values, other: Values) -> dict[str, dict[str, dict[str, float]]]:
    """Method -> metric -> how far its seeds moved.

    ``alike`` is the mean move with its sign, what a machine does to all seeds; ``largest`` the
    largest move of one seed; ``sd_over_seeds`` the spread over seeds on the first machine.
    """
    table: dict[str, dict[str, dict[str, float]]] = {}
    for (method, metric), values in base.items():
        if len(values) < 2 or len(other.get((method, metric), [])) != len(values):
            continue
        moves = [b - a for a, b in zip(values, other[method, metric], strict=True)]
        table.setdefault(method, {})[metric] = {
            "alike": fmean(moves),
            "largest": max(map(abs, moves)),
            "sd_over_seeds": stdev(values),
        }
    return table


def as_markdown(table: dict[str, dict[str, dict[str, float]]], way: str) -> str:
    """One way of rounding against the first."""
    lines = [
        f"{way}, against {BASE}:",
        "",
        "| | moved, mean over seeds | largest move of a seed | sd over seeds |",
        "|---|---|---|---|",
    ]
    for method, metrics in table.items():
        for metric, found in metrics.items():
            cells = " | ".join(f"{found[name]:.2g}" for name in ("alike", "largest"))
            row = f"| {display_name(method)}, {metric} | {cells} | {found['sd_over_seeds']:.2g} |"
            lines.append(row)
    return "\n".join([*lines, ""])


def main(arguments: list[str] | None = None) -> None:
    options = parse(arguments)
    ways = list(WAYS)[: options.ways]
    values = {}
    for place, way in enumerate(ways):
        print(f"training: {way}", flush=True)
        values[way] = values_of(train(way, options.directory / str(place), options))
    measured: dict[str, Any] = {
        "command": " ".join(["python -m benchmarks.rounding", *(arguments or sys.argv[1:])]),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "recipe": options.recipe,
        "seeds": options.seeds,
        "moved": {way: moved(values[BASE], values[way]) for way in ways[1:]},
    }
    for way in ways[1:]:
        print(as_markdown(measured["moved"][way], way))
    if options.out:
        options.out.write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
