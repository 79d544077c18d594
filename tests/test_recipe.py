"""Recipes are strict: what is wrong is named in one line, with the way out."""

from pathlib import Path
from typing import Any, get_args

import pytest

from rlhf_compare.errors import RecipeError
from rlhf_compare.methods import METHODS
from rlhf_compare.recipe import Recipe, load_recipe
from rlhf_compare.recipe_text.fields import SECTIONS, known_fields
from rlhf_compare.recipe_text.overrides import split

from .conftest import RECIPES

BASE = "name: small\nmodel: {config: {model_type: gpt2}}\n"


@pytest.fixture
def load(tmp_path: Path) -> Any:
    def from_text(text: str | bytes, *overrides: str) -> Recipe:
        path = tmp_path / "r.yaml"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return load_recipe(path, overrides)

    return from_text


def fault_of(load: Any, text: str | bytes, *overrides: str) -> str:
    with pytest.raises(RecipeError) as error:
        load(text, *overrides)
    message = str(error.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(("path", "needed"), RECIPES)
def test_recipes_of_the_project_load(path: Path, needed: list[str]) -> None:
    recipe = load_recipe(path, needed)
    assert recipe.name == path.stem  # a run is found under the file's name
    assert Recipe.model_validate(recipe.resolved()) == recipe


def test_numbers_that_yaml_reads_as_text_are_numbers(load: Any) -> None:
    recipe = load(BASE + "sft: {learning_rate: 5e-6}\n", "ppo.learning_rate=3e-4")
    assert recipe.sft.learning_rate == 5e-6
    assert recipe.ppo.learning_rate == 3e-4
    assert recipe.resolved()["sft"] == {"learning_rate": 5e-6}


def test_only_given_fields_of_a_trainer_are_resolved_and_all_of_ours(load: Any) -> None:
    resolved = load(BASE + "dpo: {beta: 0.1}\n").resolved()
    assert resolved["dpo"] == {"beta": 0.1} and resolved["sft"] == {}
    assert "ppo" not in resolved  # a method is compared if its section stands in the recipe
    assert resolved["data"]["max_length"] == 512


def test_an_empty_section_is_one_with_its_defaults(load: Any) -> None:
    assert load(BASE + "sft:\n") == load(BASE)
    assert load(BASE + "sft:\n", "sft.weight_decay=0.1").sft.set_fields() == {"weight_decay": 0.1}


def test_overrides_win_and_may_be_any_yaml(load: Any) -> None:
    recipe = load(
        BASE + "dpo: {beta: 0.1}\n",
        "dpo.beta=3",
        "dpo.loss_type=[sigmoid, sft]",
        "name=other",
        "model.config.n_layer=2",
        "task.prefix='Let me explain: a=b. '",
    )
    assert recipe.dpo.set_fields() == {"beta": 3.0, "loss_type": ["sigmoid", "sft"]}
    assert recipe.name == "other"
    assert recipe.model.config == {"model_type": "gpt2", "n_layer": 2}
    assert recipe.task.prefix == "Let me explain: a=b. "


@pytest.mark.parametrize("override", ["", "beta", "=3", ".beta=3", "dpo.=3", "dpo..beta=3"])
def test_an_override_that_is_none(load: Any, override: str) -> None:
    assert fault_of(load, BASE, override) == f"override {override!r}: write section.field=value"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("dpo.beta=[", "override 'dpo.beta=[': the value is not YAML"),
        ("name.x.y=3", "override 'name.x.y=3': name has no fields"),
        ("dpo.bta=3", "r.yaml: dpo.bta: unknown key; did you mean dpo.beta?"),
    ],
)
def test_a_wrong_override(load: Any, override: str, message: str) -> None:
    assert fault_of(load, BASE, override).endswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "sft: {learning_rat: 1}",
            "sft.learning_rat: unknown key; did you mean sft.learning_rate?",
        ),
        ("reward: {weight_decy: 1}", "reward.weight_decy: unknown key; did you mean "),
        ("ppo: {kl_coeff: 1}", "ppo.kl_coeff: unknown key; did you mean ppo.kl_coef?"),
        ("dpo: {bata: 1}", "dpo.bata: unknown key; did you mean dpo.beta?"),
        ("data: {sorce: file}", "data.sorce: unknown key; did you mean data.source?"),
        ("data: {sources: [{pth: a}]}", "data.sources: unknown key pth; did you mean path?"),
        ("data: {sources: [{source: file}]}", "data.sources: path: needed where source is 'file'"),
        ("data: {max_dropped_share: {a: 1}}", "data.max_dropped_share: 'a' is no reason code"),
        ("data: {pairs: best}", "data.pairs: input should be 'best_worst', 'all' or 'adjacent'"),
        ("task: {prefx: a}", "task.prefx: unknown key; did you mean task.prefix?"),
        ("ppoo: {}", "ppoo: unknown key; did you mean ppo?"),
        ("sft: {max_length: 9}", "sft.max_length: unknown key: use data.max_length"),
        ("ppo: {seed: 9}", "ppo.seed: unknown key: use SEEDS or --seeds"),
        ("sft: {learning_rate: abc}", "sft.learning_rate: input should be a valid number"),
        ("sft: {learning_rate: abc}", "got 'abc'"),
        ("sft: {learning_rate: .inf}", "sft.learning_rate: input should be a finite number"),
        ("sft: {learning_rate: .nan}", "sft.learning_rate: input should be a finite number"),
        ("sft: {learning_rate: -1}", "greater than or equal to 0, got -1"),
        (
            "ppo: {per_device_train_batch_size: -4}",
            "ppo.per_device_train_batch_size: input should be greater than 0, got -4",
        ),
        ("dpo: {num_train_epochs: 0}", "dpo.num_train_epochs: input should be greater than 0"),
        ("ppo: {lam: 1.5}", "ppo.lam: input should be less than or equal to 1, got 1.5"),
        ("ppo: {kl_estimator: k2}", "ppo.kl_estimator: input should be 'k1' or 'k3', got 'k2'"),
        ("sft: 3", "sft: input should be a valid dictionary"),
        ("data: {eval_share: 1}", "data.eval_share: input should be less than 1, got 1"),
        ("data: {source: file}", "data.path: needed where source is 'file'"),
        ("data: {source: hub}", "data.hub_id: needed where source is 'hub'"),
        ("data: {path: a.jsonl}", "data.path: only for source 'file', here it is 'embedded'"),
        ("task: {template: hi}", "task.template: must contain {question}"),
        ("task: {marker: well}", "task.marker: the prefix 'Let me explain. ' does not start"),
        ("tracking: {wandb: onlin}", "tracking.wandb: input should be 'auto', "),
        ("seed: -1", "seed: input should be greater than or equal to 0, got -1"),
        ("seed: 4294967296", "seed: input should be less than or equal to 4294967295"),
        ("1: 2", "recipe: keys should be strings, got 1"),
        ("seed: 1\nseed: 2", "r.yaml, line 4: key 'seed' stands twice"),
        ("sft: {num_train_epochs: 1, num_train_epochs: 2}", "key 'num_train_epochs' stands twice"),
    ],
)
def test_a_wrong_field_is_named(load: Any, text: str, message: str) -> None:
    fault = fault_of(load, BASE + text + "\n")
    assert message in fault and "r.yaml" in fault


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected sections, got NoneType"),
        ("- a\n", "expected sections, got list"),
        ("name: [\n", "r.yaml, line 2: "),
        ("name: a\n\tmodel: b\n", "r.yaml, line 2: "),
        (b"\xff\xfe\xfa", "not UTF-8 text"),
        ("name: small\n", "model: missing"),
        ("model: {config: {model_type: gpt2}}\n", "name: missing"),
        ("name: a\nmodel: {}\n", "model.config, path, wheel, hub_id: give exactly one, got none"),
        (
            "name: a\nmodel: {path: x, hub_id: y}\n",
            "model.config, path, wheel, hub_id: give exactly one, got path and hub_id",
        ),
        ("name: a\nmodel: {config: {n_layer: 1}}\n", "model.config: needs a model_type"),
    ],
)
def test_a_recipe_that_is_none(load: Any, text: str | bytes, message: str) -> None:
    assert message in fault_of(load, text)


@pytest.mark.parametrize(
    "name", ["../x", "a/b", "", ".", "..", "Tiny", "a b", "a\n", "-a", "a" * 65]
)
def test_a_name_cannot_leave_the_run_root(load: Any, name: str) -> None:
    fault = fault_of(load, f"name: {name!r}\n" + BASE.split("\n", 1)[1])
    assert "r.yaml: name: " in fault


def test_two_faults_are_two_lines(load: Any) -> None:
    with pytest.raises(RecipeError) as error:
        load(BASE + "dpo: {bata: 1}\nppo: {gamma: 2}\n")
    lines = str(error.value).split("\n")
    assert len(lines) == 2 and "ppo.gamma" in lines[0] and "dpo.bata" in lines[1]


def test_a_recipe_runs_no_code(load: Any, tmp_path: Path) -> None:
    victim = tmp_path / "touched"
    fault = fault_of(load, f"!!python/object/apply:os.mkdir ['{victim}']\n")
    assert "could not determine a constructor" in fault and not victim.exists()


def test_a_missing_recipe_lists_those_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "mine.yaml").write_text(BASE)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecipeError) as error:
        load_recipe(Path("recipes/other.yaml"))
    assert str(error.value) == (
        "recipe recipes/other.yaml: No such file or directory; recipes here: recipes/mine.yaml; "
        "by name: alpaca_reward, gpt2_hh, hh_small, tiny, tiny_more"
    )


def test_a_variant_is_its_method_with_its_own_settings_on_top(load: Any) -> None:
    recipe = load(
        BASE + "ppo: {}\ndpo: {beta: 0.1, learning_rate: 1e-4}\n"
        "variants: {dpo_chapter: {method: dpo, settings: {beta: 0.3}}, ppo_free: {method: ppo}}\n"
    )
    assert recipe.methods == ("sft", "ppo", "ppo_free", "dpo", "dpo_chapter")
    assert recipe.section("dpo_chapter").set_fields() == {"beta": 0.3, "learning_rate": 1e-4}
    assert recipe.section("ppo_free") == recipe.ppo
    assert Recipe.model_validate(recipe.resolved()) == recipe


def test_a_method_is_left_out_with_its_variants(load: Any) -> None:
    text = BASE + "ppo: {}\ndpo: {}\nvariants: {dpo_a: {method: dpo}, ppo_a: {method: ppo}}\n"
    assert load(text, "dpo=null").methods == ("sft", "ppo", "ppo_a")
    assert load(text, "variants.dpo_a=null").methods == ("sft", "ppo", "ppo_a", "dpo")


@pytest.mark.parametrize(
    ("variant", "parts"),
    [
        (
            "{dpo_a: {method: dpo, settings: {bet: 0.3}}}",
            ["variants.dpo_a.settings", "bet", "beta"],
        ),
        ("{dpo_a: {method: dpo, settings: {beta: -1}}}", ["variants.dpo_a.settings", "beta", "-1"]),
        ("{ppo_a: {method: dpo}}", ["variants.ppo_a", "dpo_..."]),
        ("{other: {method: dpo}}", ["variants", "ppo|dpo"]),
        ("{dpo_a: {method: grpo}}", ["variants", "grpo"]),
        ("{ppo_a: {method: ppo}}", ["variants.ppo_a", "no section ppo", "ppo: {}"]),
    ],
)
def test_what_is_wrong_with_a_variant_is_named(load: Any, variant: str, parts: list[str]) -> None:
    message = fault_of(load, BASE + f"dpo: {{}}\nvariants: {variant}\n")
    assert all(part in message for part in parts), message


@pytest.mark.parametrize("section", ["sft", "reward", *METHODS, "data", "task", "model"])
def test_the_names_read_from_the_sources_are_those_of_the_types(section: str) -> None:
    annotation: Any = Recipe.model_fields[section].annotation
    parts = [part for part in get_args(annotation) if part is not type(None)] or [annotation]
    known, typed = known_fields(section), set(parts[0].model_fields)
    assert known is not None and typed <= known
    # a section may leave out fields of its trainer; the types refuse those
    assert section == "grpo" or typed == known
    assert set(Recipe.model_fields) == set(SECTIONS)


def test_a_fault_is_blamed_on_who_made_it(load: Any) -> None:
    text = BASE + "dpo: {beta: -1}\n"
    assert fault_of(load, text).split(": ")[0].endswith("r.yaml")
    assert fault_of(load, BASE, "dpo.beta=-1").startswith("override 'dpo.beta=-1' of ")
    assert fault_of(load, text, "ppo.gamma=1").split(": ")[0].endswith("r.yaml")
    assert fault_of(load, text, "dpo.learning_rate=1").split(": ")[0].endswith("r.yaml")


def test_one_is_a_list_of_one(load: Any) -> None:
    recipe = load(BASE, "dpo.loss_type=ipo", "data.feeds=prompts", "evaluation.questions='Why?'")
    assert recipe.dpo.set_fields() == {"loss_type": ["ipo"]}
    assert recipe.data.feeds == ("prompts",) and recipe.evaluation.questions == ("Why?",)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a.b=1 c.d=2", ["a.b=1", "c.d=2"]),
        ("m.l={r: 16, a: [1, 2]}  x.y=z", ["m.l={r: 16, a: [1, 2]}", "x.y=z"]),
        ("t.p='a b' t.q=\"c d\"", ["t.p='a b'", 't.q="c d"']),
        ("t.p={a: 'x } y'} b.c=1", ["t.p={a: 'x } y'}", "b.c=1"]),
        ("--seeds '0 1' a.b=", ["--seeds", "0 1", "a.b="]),
        ("\"t.p='a: b'\" c.d=1", ["t.p='a: b'", "c.d=1"]),
        ("", []),
    ],
)
def test_arguments_are_split_as_a_person_reads_them(text: str, words: list[str]) -> None:
    assert split(text) == words


def test_a_bracket_that_never_closes() -> None:
    with pytest.raises(RecipeError, match="} is missing at the end"):
        split("m.l={r: 16 a.b=1")
