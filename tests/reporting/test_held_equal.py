"""The page says what was the same for every method, and where training and judging differ."""

from rlhf_compare.reporting.caveats import caveats
from rlhf_compare.reporting.held_equal import held_equal_table
from rlhf_compare.reporting.schema import Results

from .conftest import changed
from .test_tables import row


def sampled(results: Results, temperature: float, length: int, limit: int = 64) -> Results:
    sampling = {"temperature": temperature, "response_length": length}
    evaluation = {"max_new_tokens": limit, "batch_size": 32, "samples_per_prompt": 4}
    return changed(results, {"methods.ppo.sampling": sampling, "recipe.evaluation": evaluation})


def notes_of(results: Results) -> list[str]:
    return [note for note in caveats(results) if "judged" in note]


def test_what_was_held_equal_is_listed(results: Results) -> None:
    table = held_equal_table(sampled(results, 0.7, 48))
    assert row(table, "seeds")[1] == "0"
    assert (
        row(table, "rows that may teach SFT, the reward model and every method")[1]
        == "the same 900"
    )
    assert row(table, "response limit, tokens")[1] == "64"
    assert row(table, "evaluation batch, responses (other sizes are other draws)")[1] == "32"
    assert row(table, "temperature of judging, and the greedy answer beside it")[1] == "1"
    assert row(table, "PPO samples")[1] == "at temperature 0.7, at most 48 tokens"
    assert not any(r[0].startswith("DPO samples") for r in table.rows)
    assert row(held_equal_table(results), "response limit, tokens")[1] == "not recorded"


def test_texts_that_only_the_reward_model_saw_are_named(results: Results) -> None:
    def note(made: int) -> str:
        row = {"unit": "ranked rows", "at_hand": 9, "used": 9, "passes": 4.0, "made": made}
        learned = {"reward-0": row, "judge-0": {**row, "made": 7}}
        made_of = changed(results, {"provenance.learned": learned})
        return held_equal_table(made_of).note + " ".join(caveats(made_of))

    assert note(1234).count("The reward model also saw 1,234 broken texts") == 2
    assert "broken" not in note(0)


def test_another_temperature_in_training_than_in_judging_is_named(results: Results) -> None:
    assert notes_of(sampled(results, 1.0, 64)) == []
    (note,) = notes_of(sampled(results, 0.7, 64))
    assert note.startswith("PPO samples at temperature 0.7 and is judged at 1: ")


def test_a_longer_limit_in_judging_than_in_training_is_named(results: Results) -> None:
    (note,) = notes_of(sampled(results, 1.0, 48))
    assert note.startswith("PPO was trained on responses of at most 48 tokens and is judged on up")


def test_what_the_roundings_of_a_machine_do_is_said_of_any_number_of_seeds(
    results: Results,
) -> None:
    for seeds in ([0], [0, 1, 2]):
        (note,) = [
            note
            for note in caveats(changed(results, {"provenance.seeds": seeds}))
            if "benchmarks.rounding" in note
        ]
        assert "what a machine does to all seeds alike is in no interval" in note
