"""What ``rlhf-compare replicate`` does: check that both are one experiment, compare, write.

The code of searches is imported where it is needed: a wrong file should not wait for libraries.
"""

from pathlib import Path

from rlhf_compare.commands import console, say
from rlhf_compare.replication.changes import answers_of, changes_of, shared_pair
from rlhf_compare.replication.results import Replication, Side, save_replication
from rlhf_compare.replication.same import require_one_recipe, require_other_seeds
from rlhf_compare.reporting.labels import label_of
from rlhf_compare.reporting.results import load
from rlhf_compare.reporting.schema import Results
from rlhf_compare.runs.files import replace_text

RESULTS, PAGE = "replication.json", "replication.md"


def run_replication(first: Path, fresh: Path, tuning: Path | None) -> None:
    """Print the replication and write it beside the fresh results.

    Raises:
        UserError: a file is missing or breaks its contract, a seed is in two files, or they are of
            different recipes.
    """
    way_out = "run `rlhf-compare compare` first"
    before, after = (load(Results, path, way_out) for path in (first, fresh))
    require_other_seeds(before.provenance.seeds, after.provenance.seeds, first, fresh)
    require_one_recipe(before, after, first, fresh)
    replication = replicate(before, after, first, fresh, tuning)
    page = write_replication(replication, fresh.parent)
    _show(replication)
    say(f"replication: {page}")


def replicate(
    before: Results, fresh: Results, before_file: Path, fresh_file: Path, tuning_file: Path | None
) -> Replication:
    """See :class:`Replication`; the two are of one recipe and share no seed."""
    pair = shared_pair(before, fresh)
    found = Replication(
        schema_version=1,
        recipe=fresh.recipe.name,
        pair=[] if pair is None else [label_of(fresh, name) for name in pair],
        sides={"first": _side(before, before_file), "fresh": _side(fresh, fresh_file)},
        changes=changes_of(before, fresh),
        answers=answers_of(before, fresh),
        tuned=[],
        notes=_notes(before, fresh),
    )
    return found if tuning_file is None else _with_tuning(found, fresh, fresh_file, tuning_file)


def _with_tuning(
    found: Replication, fresh: Results, fresh_file: Path, tuning_file: Path
) -> Replication:
    from rlhf_compare.replication.tuned import require_same_recipe, tuned_less_fresh
    from rlhf_compare.tuning.results import load_tuning

    tuning = load_tuning(tuning_file)
    require_same_recipe(tuning, fresh, tuning_file)
    origin = tuning.origin
    require_other_seeds(origin.seeds, fresh.provenance.seeds, tuning_file, fresh_file)
    rows, notes = tuned_less_fresh(tuning, fresh)
    side = Side(
        file=str(tuning_file),
        command=origin.command,
        commit=origin.commit,
        device=origin.device,
        created=origin.created,
        seeds=origin.seeds,
    )
    sides = {**found.sides, "tuning": side}
    return found.model_copy(update={"tuned": rows, "notes": [*found.notes, *notes], "sides": sides})


def _side(results: Results, file: Path) -> Side:
    facts = results.provenance
    return Side(
        file=str(file),
        command=facts.command,
        commit=facts.commit,
        device=facts.device.name,
        created=facts.created,
        seeds=facts.seeds,
    )


def _notes(before: Results, fresh: Results) -> list[str]:
    notes = []
    for name, (one, other) in {"first": (before, fresh), "fresh": (fresh, before)}.items():
        alone = [label_of(one, method) for method in one.methods if method not in other.methods]
        if alone:
            notes.append(f"In the {name} results alone, so not compared: {', '.join(alone)}.")
    facts = (before.provenance, fresh.provenance)
    commits = [fact.commit[:7] if fact.commit else "none recorded" for fact in facts]
    if facts[0].commit != facts[1].commit:
        both = " and ".join(commits)
        notes.append(f"The commits differ ({both}): a difference may come from the code.")
    if facts[0].device.name != facts[1].device.name:
        both = " and ".join(fact.device.name for fact in facts)
        notes.append(f"The machines differ ({both}): a difference may come from rounding.")
    return notes


def write_replication(replication: Replication, directory: Path) -> Path:
    """Write the numbers and the page."""
    from rlhf_compare.replication.page import page

    save_replication(replication, directory / RESULTS)
    replace_text(directory / PAGE, page(replication))
    return directory / PAGE


def _show(replication: Replication) -> None:
    from rlhf_compare.replication.page import sentences
    from rlhf_compare.replication.terminal import print_changes

    print_changes(replication.changes, "first", console)
    if replication.tuned:
        print_changes(replication.tuned, "tuned", console)
    for line in sentences(replication):
        say(line)
