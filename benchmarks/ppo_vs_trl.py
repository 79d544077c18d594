"""Our PPOTrainer against that of TRL 1.12, the last TRL that had one.

    python -m benchmarks.ppo_vs_trl                 # time and memory
    python -m benchmarks.ppo_vs_trl --roofline      # and where the time goes
    python -m benchmarks.ppo_vs_trl --lora          # memory with adapters

Same weights, prompts, batch, epochs, limits; each run a process of its own, one of each side in
turn, the first iteration of every run not counted. Seconds are this machine's at this moment; the
ratios are what to read. Memory is measured in runs of their own, see ``environment.py``.
"""

import argparse
import dataclasses
import inspect
import json
import os
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import summary
from benchmarks.environment import ensure_environment
from benchmarks.settings import (
    LORA,
    LORA_ONE_BASE,
    NAMES,
    OURS,
    SHAPES,
    TRL,
    Settings,
    Shape,
    optimizer_steps,
)
from benchmarks.workers import run_worker

_ROOT = Path(__file__).resolve().parents[1]


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.ppo_vs_trl", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--rounds", type=int, help="runs of each side (3; 1 with --lora)")
    parser.add_argument("--iterations", type=int, help="measured in a run (6; 1 with --lora)")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of both sides")
    parser.add_argument("--shape", choices=SHAPES, help="of all models (tiny; small with --lora)")
    parser.add_argument(
        "--responses",
        choices=("spread", "full"),
        help="spread = they end as a trained model's do; full = all run to the limit "
        "(spread for tiny, full for others)",
    )
    parser.add_argument("--lora", action="store_true", help="peak memory with adapters")
    parser.add_argument("--roofline", action="store_true", help="time against the matrix peak")
    parser.add_argument("--out", type=Path, help="write everything measured there as JSON")
    parser.add_argument("--directory", type=Path, default=_ROOT / ".bench", help="for downloads")
    options = parser.parse_args(arguments)
    options.rounds = options.rounds if options.rounds is not None else (1 if options.lora else 3)
    if options.iterations is None:
        options.iterations = 1 if options.lora else 6
    for name in ("rounds", "iterations", "threads"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} must be at least 1, got {getattr(options, name)}")
    if options.lora and options.roofline:
        parser.error("--roofline needs models of their own; leave --lora out")
    return options


def settings_of(options: argparse.Namespace) -> Settings:
    """The settings of every worker of this call."""
    shape = options.shape or ("small" if options.lora else "tiny")
    return Settings(
        shape=shape,
        responses=options.responses or ("spread" if shape == "tiny" else "full"),
        iterations=options.iterations,
        threads=options.threads,
        gemm=options.roofline,
    )


def worker_command(
    system: str, python: Path, settings: Path, inputs: Path, scratch: Path, result: Path
) -> list[str]:
    """A run's command line; ``python`` is the other side's interpreter."""
    files = [str(path) for path in (settings, inputs, scratch, result)]
    if system == TRL:
        return [str(python), "-m", "benchmarks.worker_trl", *files]
    return [sys.executable, "-m", "benchmarks.worker_ours", system, *files]


def run_one(
    system: str, python: Path, settings: Settings, inputs: Path, tight: bool
) -> summary.Run:
    """One run; ``tight`` = for its memory, not its time."""
    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        (scratch / "settings.json").write_text(settings.to_json(), encoding="utf-8")
        result = scratch / "result.json"
        command = worker_command(
            system, python, scratch / "settings.json", inputs, scratch / "output", result
        )
        return run_worker(NAMES[system], command, result, settings.threads, tight)


def measure(
    systems: list[str],
    python: Path,
    settings: Settings,
    inputs: Path,
    rounds: int,
    tight: bool = False,
) -> summary.Runs:
    """The systems in turn, ``rounds`` times.

    Raises:
        SystemExit: a run failed, or took another number of optimizer steps than was asked for.
    """
    runs: summary.Runs = {system: [] for system in systems}
    for index in range(rounds):
        for system in systems:
            # another seed a round: other prompts and responses, the same for all systems
            seeded = dataclasses.replace(settings, seed=index)
            run = run_one(system, python, seeded, inputs, tight)
            if run["optimizer_steps"] != optimizer_steps(settings):
                raise SystemExit(
                    f"{NAMES[system]} took {run['optimizer_steps']} optimizer steps an iteration, "
                    f"not {optimizer_steps(settings)}: nothing to compare"
                )
            runs[system].append(run)
            print(
                f"round {index + 1}: {NAMES[system]}: {_line_of(run, settings, tight)}", flush=True
            )
    return runs


def _line_of(run: summary.Run, settings: Settings, tight: bool) -> str:
    """A run on one line."""
    if tight:
        return f"{run['memory']['peak'] / summary.MIB:.0f} MiB at most"
    return (
        f"{summary.episodes_per_second(run, settings.episodes):.1f} episodes/s, "
        f"{run['tokens'] / settings.episodes:.1f} response tokens per episode, "
        f"{run['optimizer_steps']:.0f} optimizer steps per iteration"
    )


def missing_for_lora() -> str | None:
    """What the trainer lacks for ``--lora``; None = nothing."""
    from rlhf_compare.ppo.trainer import PPOTrainer

    if "peft_config" in inspect.signature(PPOTrainer.__init__).parameters:
        return None
    return "--lora is not available yet: PPOTrainer has no peft_config parameter"


def measure_all(options: argparse.Namespace, settings: Settings, python: Path) -> dict[str, Any]:
    """Everything asked for: runs for time (not with ``--lora``), runs for memory."""
    from benchmarks.inputs import ensure_inputs  # torch takes seconds; --help does not need it

    inputs = ensure_inputs(options.directory / "inputs", settings)
    systems = [OURS, TRL]
    if options.lora:
        systems += [LORA, LORA_ONE_BASE]
        return {"memory": measure(systems, python, settings, inputs, options.rounds, tight=True)}
    short = dataclasses.replace(settings, iterations=1, gemm=False)
    return {
        "time": measure(systems, python, settings, inputs, options.rounds),
        "memory": measure(systems, python, short, inputs, rounds=1, tight=True),
    }


def report(
    options: argparse.Namespace, settings: Settings, runs: dict[str, summary.Runs]
) -> dict[str, Any]:
    """Print the tables; everything as one object."""
    shape = SHAPES[settings.shape]
    result: dict[str, Any] = {
        "settings": dataclasses.asdict(settings),
        "model": dataclasses.asdict(shape),
        "machine": {"platform": platform.platform(), "cores": os.cpu_count()},
        "versions": {system: rounds[0]["versions"] for system, rounds in runs["memory"].items()},
        "memory": summary.compare(runs["memory"], summary.memory_rows()),
        "runs": runs,
    }
    print(f"\n{_circumstances(settings, shape, options.rounds)}\n")
    if options.lora:
        print(summary.memory_markdown(result["memory"]))
        return result
    result["comparison"] = summary.compare(runs["time"], summary.time_rows(settings))
    print(summary.comparison_markdown(result["comparison"] | result["memory"]))
    if options.roofline:
        result["roofline"] = {s: summary.roofline(runs["time"], shape, s) for s in runs["time"]}
        for system, entry in result["roofline"].items():
            print(f"\n{summary.roofline_markdown(NAMES[system], entry)}")
    return result


def _circumstances(settings: Settings, shape: Shape, rounds: int) -> str:
    return (
        f"GPT-2 of {shape.layers} layers, {shape.width} wide, vocabulary {shape.vocabulary}, "
        f"fp32, {settings.threads} threads; {settings.episodes} episodes an iteration, "
        f"{settings.epochs} epochs of {settings.mini_batches} mini-batches, at most "
        f"{settings.response_length} new tokens ({settings.responses}). Medians of {rounds} "
        f"rounds of {settings.iterations} iterations, ratios with the rounds' extremes."
    )


def main(arguments: list[str] | None = None) -> None:
    """Set up, measure, print, write."""
    options = parse(arguments)
    settings = settings_of(options)
    missing = missing_for_lora() if options.lora else None
    if missing:
        print(missing)
        return
    python = ensure_environment(options.directory / "trl112")
    result = report(options, settings, measure_all(options, settings, python))
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        print(f"\neverything measured: {options.out}")


if __name__ == "__main__":
    main()
