"""Our DPO stage against TRL's DPOTrainer, of the TRL that is installed here.

    python -m benchmarks.dpo_vs_trl             # pairs per second and memory
    python -m benchmarks.dpo_vs_trl --losses    # the losses of every step, side by side

Same pairs (the embedded corpus under recipes/tiny.yaml), weights, tokens and optimizer steps of 16
pairs. TRL twice: in the chapter's setting, 4 pairs with an accumulation of 4 and a live reference,
and in the best that was found, 16 pairs of like length at once with the reference computed
beforehand. Each run is a process of its own, the systems in turn. Seconds hold everything from the
pairs to the trained policy, reference log-probabilities included; ours start from an empty cache.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.summary import MIB, Run, Runs, compare, comparison_markdown
from benchmarks.worker_dpo import NAMES, OURS, TRL_BEST, TRL_CHAPTER
from benchmarks.workers import run_worker

_ROOT = Path(__file__).resolve().parents[1]


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.dpo_vs_trl", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--rounds", type=int, default=3, help="runs of each system (3)")
    parser.add_argument("--pairs", type=int, default=640, help="of the corpus, one epoch (640)")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of every run")
    parser.add_argument("--losses", action="store_true", help="same batches; compare the losses")
    parser.add_argument("--out", type=Path, help="write everything measured there as JSON")
    parser.add_argument("--directory", type=Path, default=_ROOT / ".bench", help="for inputs")
    options = parser.parse_args(arguments)
    for name in ("rounds", "pairs", "threads"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} must be at least 1, got {getattr(options, name)}")
    if options.pairs % 16:
        parser.error(f"--pairs must be a multiple of 16, one optimizer step, got {options.pairs}")
    return options


def run_one(system: str, inputs: Path, options: argparse.Namespace, seed: int) -> Run:
    """One run of one system."""
    with tempfile.TemporaryDirectory() as scratch:
        result = Path(scratch) / "result.json"
        arguments = [system, inputs, scratch, result, options.pairs, seed, int(options.losses)]
        command = [sys.executable, "-m", "benchmarks.worker_dpo", *map(str, arguments)]
        return run_worker(NAMES[system], command, result, options.threads)


def measure(systems: list[str], inputs: Path, options: argparse.Namespace) -> Runs:
    """The systems in turn, ``rounds`` times; another order of the pairs a round."""
    runs: Runs = {system: [] for system in systems}
    for index in range(options.rounds):
        for system in systems:
            run = run_one(system, inputs, options, seed=index)
            runs[system].append(run)
            rate = run["pairs"] / run["seconds"]
            print(f"round {index + 1}: {NAMES[system]}: {rate:.1f} pairs/s", flush=True)
    return runs


def rows() -> dict[str, Any]:
    """Every row of the comparison and how it is read from a run."""
    return {
        "pairs per second": lambda run: run["pairs"] / run["seconds"],
        "seconds of the whole run": lambda run: run["seconds"],
        "of these, reference log-probabilities beforehand": lambda run: run["reference_seconds"],
        "padding among the positions computed, share": lambda run: run["padding_share"],
        "optimizer steps": lambda run: run["optimizer_steps"],
        "peak memory above the imports, MiB": lambda run: run["peak"] / MIB,
    }


def largest_difference(runs: Runs) -> dict[str, float]:
    """Of the losses of any step, ours and each of TRL's: nats.

    Raises:
        SystemExit: the systems logged another number of steps.
    """
    found = {}
    for system in (TRL_CHAPTER, TRL_BEST):
        pairs = [
            (ours["losses"], theirs["losses"])
            for ours, theirs in zip(runs[OURS], runs[system], strict=True)
        ]
        if any(len(a) != len(b) or not a for a, b in pairs):
            raise SystemExit("the systems logged another number of steps: nothing to compare")
        found[system] = max(abs(x - y) for a, b in pairs for x, y in zip(a, b, strict=True))
    return found


def main(arguments: list[str] | None = None) -> None:
    """Set up, measure, print, write."""
    options = parse(arguments)
    from benchmarks.dpo_inputs import ensure_pairs  # torch takes seconds; --help does not need it

    inputs = ensure_pairs(options.directory / "inputs")
    runs = measure([OURS, TRL_CHAPTER, TRL_BEST], inputs, options)
    print(
        f"\nModel of recipes/tiny.yaml, fp32, {options.threads} threads; {options.pairs} pairs, "
        f"one epoch in steps of 16. Medians of {options.rounds} rounds, ratios with the rounds' "
        "extremes.\n"
    )
    result: dict[str, Any] = {
        "options": {k: str(v) for k, v in vars(options).items()},
        "runs": runs,
    }
    if options.losses:
        result["largest_difference"] = largest_difference(runs)
        for system, value in result["largest_difference"].items():
            print(f"largest difference of a step's loss, ours and {NAMES[system]}: {value:.2e}")
    else:
        for base in (TRL_CHAPTER, TRL_BEST):
            two = {system: runs[system] for system in (OURS, base)}
            table = compare(two, rows(), base=base)
            result[f"against_{base}"] = table
            print(comparison_markdown(table, base=base, names=NAMES) + "\n")
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        print(f"everything measured: {options.out}")


if __name__ == "__main__":
    main()
