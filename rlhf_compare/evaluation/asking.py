"""Two stages that ask a judge behind an endpoint: about two methods' answers to the same prompts,
and about held-out pairs whose better response people named."""

from collections.abc import Sequence
from typing import Any

from rlhf_compare.data.control import unmarked
from rlhf_compare.data.views import pair_indices
from rlhf_compare.errors import StageFailedError
from rlhf_compare.evaluation.config import EvaluationConfig
from rlhf_compare.evaluation.endpoint import Endpoint
from rlhf_compare.evaluation.pair_judge import Duel, Judgement, PairJudge
from rlhf_compare.evaluation.win_rates import Opinion
from rlhf_compare.runs.context import StageContext
from rlhf_compare.runs.directory import RunDirectory
from rlhf_compare.runs.files import read_json, write_json

_FILE, _MEASUREMENT = "opinion.json", "measurement.json"


def endpoint_of(config: EvaluationConfig) -> Endpoint:
    """The judge that the recipe names; callers check that it names one."""
    assert config.judge_url is not None and config.judge_model is not None
    return Endpoint(
        url=config.judge_url, model=config.judge_model, key_variable=config.judge_key_variable
    )


def ask_about_answers(
    context: StageContext, config: EvaluationConfig, a: RunDirectory, b: RunDirectory
) -> None:
    """Compare the first sampled answer of a and of b to each of the first ``judge_prompts``.

    Raises:
        EndpointError: see :meth:`PairJudge.judge`.
    """
    own, other = _measured(a), _measured(b)
    duels = [
        Duel(unmarked(prompt), texts[0], others[0]) if number < config.judge_prompts else None
        for number, (prompt, texts, others) in enumerate(
            zip(own["prompts"], own["sampled"], other["sampled"], strict=True)
        )
    ]
    _judge(context, config, duels)


def ask_about_labels(
    context: StageContext, config: EvaluationConfig, measured: RunDirectory
) -> None:
    """Compare the best and the worst response, by the labels, to the first ``judge_prompts`` of the
    measured prompts that have such responses; the better one is the first of the two.

    Raises:
        EndpointError: see :meth:`PairJudge.judge`.
    """
    prompts = _measured(measured)["prompts"]
    found: dict[str, Duel] = {}
    rows = context.data.eval().select_columns(["prompt", "responses", "scores", "feeds"])
    for row in rows:
        pairs = pair_indices(row["scores"], "best_worst") if "rankings" in row["feeds"] else []
        if pairs and row["prompt"] not in found:
            better, worse = (row["responses"][index] for index in pairs[0])
            found[row["prompt"]] = Duel(unmarked(row["prompt"]), better, worse)
    labelled = [prompt for prompt in prompts if prompt in found][: config.judge_prompts]
    kept = set(labelled)
    _judge(context, config, [found[prompt] if prompt in kept else None for prompt in prompts])


def _measured(directory: RunDirectory) -> dict[str, Any]:
    values: dict[str, Any] = read_json(directory.path / _MEASUREMENT)
    if "prompts" not in values:
        raise StageFailedError(
            f"{directory.path}: measured by a version that kept no sampled answers, so there is "
            "nothing to ask about; move that folder away, and the same command measures again"
        )
    return values


def _judge(context: StageContext, config: EvaluationConfig, duels: Sequence[Duel | None]) -> None:
    with context.meter.phase("evaluate"):
        judge = PairJudge(endpoint_of(config), context.cache / "judge")
        said = judge.judge(duels)
        write_json(context.directory.path / _FILE, _as_json(said))


def _as_json(said: Judgement) -> dict[str, Any]:
    return {"asked": said.asked, "unreadable": said.unreadable, **vars(said.opinion)}


def read_opinion(directory: RunDirectory) -> Opinion:
    """What one of the two stages wrote."""
    values = read_json(directory.path / _FILE)
    return Opinion(**{name: values[name] for name in ("share", "ties", "consistent")})


def read_counts(directory: RunDirectory) -> tuple[int, int]:
    """Questions asked, and replies among them that were no letter."""
    values = read_json(directory.path / _FILE)
    return values["asked"], values["unreadable"]
