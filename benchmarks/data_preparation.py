"""Preparing data larger than memory: peak memory, and speed against the tokenizer alone.

    python -m benchmarks.data_preparation --gigabytes 2

Writes a JSONL of that size (preference rows made of the embedded corpus' texts), prepares it in a
process of its own whose memory is sampled with that of its children, then encodes one chunk of the
same rows and calls the tokenizer alone on the same texts, in turns.
"""

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import datasets
import psutil

from rlhf_compare.data.chunks import FITTED, map_rows
from rlhf_compare.data.config import DataConfig, TaskConfig
from rlhf_compare.data.encoding import EncodeRows, encode_prompts
from rlhf_compare.data.lines import read_lines
from rlhf_compare.data.prepare import prepare
from rlhf_compare.models.tokenizer import load_tokenizer, train_tokenizer

_CORPUS = Path(__file__).parents[1] / "rlhf_compare" / "data" / "corpus" / "questions.jsonl"
_RATIO_ROWS = 5_000
_GIB, _GB = 2**30, 10**9
TASK = TaskConfig(name="preference")


def config(path: Path, num_proc: int) -> DataConfig:
    return DataConfig(source="file", path=str(path), num_proc=num_proc)


def corpus() -> tuple[list[str], list[str]]:
    rows = [json.loads(raw) for _, raw in read_lines(_CORPUS)]
    return [row["question"] for row in rows], [row["answer"] for row in rows]


def rows(seed: int, multi_turn_share: float = 0.0) -> Iterator[dict[str, Any]]:
    """Conversational preference rows of about 1 kB, no two alike."""
    questions, answers = corpus()
    draw = random.Random(seed)
    number = 0
    while True:
        number += 1
        chosen, rejected = (
            " ".join(draw.choices(answers, k=draw.randint(2, 6))) for _ in ("chosen", "rejected")
        )
        prompt = [_message("user", f"{draw.choice(questions)} ({number}) {draw.choice(answers)}")]
        if draw.random() < multi_turn_share:
            prompt += [_message("assistant", draw.choice(answers))]
            prompt += [_message("user", draw.choice(questions))]
        yield {
            "prompt": prompt,
            "chosen": [_message("assistant", chosen)],
            "rejected": [_message("assistant", rejected)],
        }


def _message(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def write_rows(path: Path, size: float, multi_turn_share: float) -> int:
    """Write at least ``size`` bytes; returns the number of rows."""
    written = count = 0
    with path.open("wb") as stream:
        for row in rows(0, multi_turn_share):
            if written >= size:
                return count
            written += stream.write(json.dumps(row).encode() + b"\n")
            count += 1
    return count


def prepare_measured(path: Path, tokenizer: Path, num_proc: int) -> dict[str, Any]:
    """Prepare in a process of its own; peak memory of it and its children, in bytes.

    rss counts a page for each process that maps it, pages of files too; pss counts it once.
    """
    command = [sys.executable, "-m", "benchmarks.data_preparation", "--worker"]
    start = time.perf_counter()
    child = subprocess.Popen(
        [*command, str(path), str(tokenizer), str(num_proc)], stdout=subprocess.PIPE, text=True
    )
    peak = {"rss": 0, "pss": 0}
    while child.poll() is None:
        for kind, size in _memory(child.pid).items():
            peak[kind] = max(peak[kind], size)
        time.sleep(0.25)
    if child.returncode:
        raise SystemExit(f"the worker ended with {child.returncode}")
    assert child.stdout is not None
    return {"seconds": time.perf_counter() - start, **peak, "ledger": child.stdout.read().strip()}


def _memory(pid: int) -> dict[str, int]:
    total = {"rss": 0, "pss": 0}
    try:
        parent = psutil.Process(pid)
        for process in (parent, *parent.children(recursive=True)):
            info = process.memory_full_info()
            total["rss"] += info.rss
            total["pss"] += info.pss
    except psutil.Error:  # ended while it was read
        pass
    return total


def worker(path: str, tokenizer: str, num_proc: str) -> None:
    datasets.disable_caching()
    loaded = load_tokenizer(Path(tokenizer))
    with tempfile.TemporaryDirectory(dir=Path(path).parent) as target:
        data = config(Path(path), int(num_proc))
        print(prepare(data, TASK, lambda _: loaded, (), Path(target)).ledger)


def speeds(tokenizer: Any, num_proc: int, repeats: int) -> dict[str, list[tuple[float, float]]]:
    """(wall, processor) seconds for the same texts: our encoding (ids checked, fitted, on disk),
    and the tokenizer alone, called on lists of 1,000 texts with its own threads."""
    source = rows(seed=1)
    made = [next(source) for _ in range(_RATIO_ROWS)]
    prompts = [TASK.render(row["prompt"][0]["content"]) for row in made]
    responses = [[row[side][0]["content"] for side in ("chosen", "rejected")] for row in made]
    columns: dict[str, Any] = {
        "prompt": prompts,
        "responses": responses,
        "scores": [[1.0, 0.0]] * len(made),
        "demonstration": [chosen for chosen, _ in responses],
        "feeds": [["demonstrations", "rankings", "prompts"]] * len(made),
    }
    texts = [*prompts, *(text for pair in responses for text in pair)]
    chunk = datasets.Dataset.from_dict(columns)
    encode = EncodeRows(tokenizer, config(_CORPUS, num_proc), TASK)

    def ours() -> None:
        with tempfile.TemporaryDirectory() as folder:
            map_rows(chunk, encode, FITTED, num_proc, Path(folder) / "encoded.arrow")

    def alone() -> None:
        for start in range(0, len(texts), 1000):
            encode_prompts(tokenizer, texts[start : start + 1000])

    taken: dict[str, list[tuple[float, float]]] = {"ours": [], "alone": []}
    todo: dict[str, Callable[[], None]] = {"alone": alone, "ours": ours}
    for _ in range(repeats):
        for name, run in todo.items():
            wall, processor = time.perf_counter(), time.process_time()
            run()
            used = time.perf_counter() - wall, time.process_time() - processor
            taken[name].append(used)
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--gigabytes", type=float, default=2.0, help="of the JSONL, 10^9 bytes; 0 = speed alone"
    )
    parser.add_argument(
        "--multi-turn-share", type=float, default=0.7, help="dropped once parsed, as in hh-rlhf"
    )
    parser.add_argument("--num-proc", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=15, help="of the two speeds, in turns")
    parser.add_argument("--worker", nargs=3, metavar=("PATH", "TOKENIZER", "NUM_PROC"))
    options = parser.parse_args()
    if options.worker:
        worker(*options.worker)
        return
    datasets.disable_caching()
    datasets.disable_progress_bars()
    questions, answers = corpus()
    tokenizer = train_tokenizer([*questions, *answers], 8192)
    taken = speeds(tokenizer, options.num_proc, options.repeats)
    for place, kind in enumerate(("wall", "processor")):
        ours, alone = ([used[place] for used in taken[name]] for name in ("ours", "alone"))
        ratios = [a / o for a, o in zip(alone, ours, strict=True)]
        shown, low, high = statistics.median(ratios), min(ratios), max(ratios)
        print(
            f"encoding {_RATIO_ROWS:,} rows, {kind} time: {statistics.median(ours):.2f} s, "
            f"tokenizer alone {statistics.median(alone):.2f} s, "
            f"speed ratio {shown:.2f} ({low:.2f} to {high:.2f} in {options.repeats} turns)",
            flush=True,
        )
    if not options.gigabytes:
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tokenizer.save_pretrained(folder / "tokenizer")
        path = folder / "rows.jsonl"
        count = write_rows(path, options.gigabytes * _GB, options.multi_turn_share)
        print(f"{path.stat().st_size / _GB:.2f} GB, {count:,} rows", flush=True)
        measured = prepare_measured(path, folder / "tokenizer", options.num_proc)
    print(measured["ledger"])
    print(
        f"prepared in {measured['seconds']:.0f} s; peak memory of all processes: "
        f"{measured['pss'] / _GIB:.2f} GiB, each page once; "
        f"{measured['rss'] / _GIB:.2f} GiB, shared pages in each process"
    )


if __name__ == "__main__":
    main()
