"""What the page says of the code that made its stages, and of the stages that failed."""

from rlhf_compare.reporting.caveats import caveats
from rlhf_compare.reporting.provenance_schema import Maker, StageCode
from rlhf_compare.reporting.schema import Results

from .conftest import changed


def maker(
    commit: str | None = "a" * 40, dirty: bool = False, trl: str = "1.16.0", **parts: str
) -> Maker:
    code = {"models": "1", **parts}
    return Maker(commit=commit, dirty=dirty, code=code, versions={"trl": trl})


def stage(first: Maker, *later: Maker, other: bool = False) -> StageCode:
    return StageCode(
        **dict(first),
        continued_by=list(later),
        made_by_other_code=other,
        made_with_other_libraries=False,
    )


def notes_on(results: Results, **stages: StageCode) -> list[str]:
    by_label = {name.replace("_", "-"): one for name, one in stages.items()}
    results = changed(results, {"provenance.stages": by_label})
    return [note for note in caveats(results) if "code" in note or "libraries" in note]


def test_stages_of_one_code_need_no_word(results: Results) -> None:
    """Another commit that changed nothing they share, and a part of one stage alone."""
    assert notes_on(results, sft=stage(maker()), dpo_0=stage(maker("b" * 40, dpo="1"))) == []


def test_stages_of_different_code_are_named_with_their_commits(results: Results) -> None:
    notes = notes_on(
        results,
        sft=stage(maker(), other=True),
        ppo_0=stage(maker(), other=True),
        dpo_0=stage(maker("b" * 40, dirty=True, models="2")),
    )
    assert notes[0].startswith(
        "The stages were not all made by the same code (models differ): sft, ppo-0 by commit "
        "aaaaaaa; dpo-0 by commit bbbbbbb with changes. "
    )
    assert notes[1].startswith(
        "Made by other code than that which wrote these results: sft, ppo-0. "
    )
    assert len(notes) == 2


def test_seeds_of_one_method_count_too_and_who_has_no_such_part_is_left_out(
    results: Results,
) -> None:
    (note,) = notes_on(
        results,
        sft=stage(maker()),
        dpo_0=stage(maker(None, dpo="1")),
        dpo_1=stage(maker(None, dpo="2")),
    )
    assert "(dpo differ): dpo-0 by no commit; dpo-1 by no commit. " in note


def test_a_stage_of_two_codes_is_in_both_groups(results: Results) -> None:
    (note,) = notes_on(results, sft=stage(maker(), maker("b" * 40, models="2")))
    assert "sft by commit aaaaaaa; sft by commit bbbbbbb. " in note


def test_other_libraries_and_code_that_was_not_recorded(results: Results) -> None:
    newer = maker(trl="1.17.0")
    unknown = maker().model_copy(update={"code": None})
    notes = notes_on(
        results, sft=stage(maker()), dpo_0=stage(newer), ppo_0=stage(unknown, other=True)
    )
    assert notes == [
        "The stages were not all made with the same libraries (trl differ): sft, ppo-0 with trl "
        "1.16.0; dpo-0 with trl 1.17.0.",
        "What code made these stages was not recorded: ppo-0.",
    ]


def test_without_a_commit_the_digests_tell(results: Results) -> None:
    results = changed(results, {"provenance.commit": None})
    (note,) = notes_on(results)
    assert "cannot be told" in note
    (note,) = notes_on(results, sft=stage(maker(None)))
    assert "the digests in results.json alone" in note


def test_seconds_lost_to_interruptions_are_named_and_in_no_cost(results: Results) -> None:
    assert not any("lost" in note for note in caveats(results))
    lost = {"sft": 12.4, "ppo-0": 100.0}
    results = changed(results, {"provenance.lost_to_interruptions": lost})
    (note,) = [note for note in caveats(results) if "lost" in note]
    assert note.startswith("Work of 112 s was lost when processes were killed (sft 12 s, ppo-0 100")
