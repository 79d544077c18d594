"""Every metric once: what it is called, how it is read, and which parts of the code take it.

The harness, the probe, the results' schema, tables, figures, sentences and the glossary read this
list, so a number means the same wherever it is printed. A new metric is a row here and the line
that measures it.
"""

from dataclasses import dataclass
from typing import Any, Literal

Style = Literal["share", "number", "seconds", "mebibytes", "count"]
Better = Literal["higher", "lower", ""]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One row of the side-by-side table.

    path       dotted path into a method of the results
    better     which direction is wanted; empty where neither is
    reading    one line with the formula, in Markdown
    counted    a count of yes and no: a difference without any spread is not certain
    compared   methods are compared by it, with a paired interval
    headline   the main pair's verdict rests on it; Holm's adjustment is over these, and every other
               comparison is exploratory
    judged     it is a headline of a task without a behaviour to look for, and of no other
    probe      its name in the log of a training run; empty = it is not asked for while training
    ratio_of   numerator and denominator, where it is a ratio of two means
    behaviour  it needs a behaviour to look for: of a task without one it does not apply
    of_pairs   it is counted on batches of pairs: a method that samples has none
    not_of     methods to which it does not apply
    logits     True = computed from a policy's logits; False = stands in for such a number where a
               policy is no single model and has none; None = neither
    """

    path: str
    label: str
    unit: str
    better: Better
    style: Style
    reading: str
    counted: bool = False
    compared: bool = False
    headline: bool = False
    judged: bool = False
    probe: str = ""
    ratio_of: tuple[str, str] | None = None
    behaviour: bool = False
    of_pairs: bool = False
    not_of: tuple[str, ...] = ()
    logits: bool | None = None

    @property
    def prose(self) -> str:
        """The label as a phrase: 'adoption, exact' reads 'exact adoption' in a sentence."""
        return " ".join(reversed(self.label.split(", ")))

    @property
    def is_share(self) -> bool:
        """A mean of shares of answers or of probabilities, with an interval inside [0, 1]."""
        return self.style == "share" and self.source == "prompts"

    @property
    def group(self) -> str:
        """The block of rows that it stands in."""
        return _GROUPS.get(self.path.split(".")[0], "text")

    @property
    def source(self) -> Literal["prompts", "ratio", "cost"]:
        """Numbers per prompt, a ratio of two such, or the cost records."""
        if self.ratio_of is not None:
            return "ratio"
        return "cost" if self.path.startswith("cost.") else "prompts"


# a path's first part -> the block of rows it stands in; the rest describe the text itself
_GROUPS = {
    "adoption": "behaviour",
    "kl_to_reference": "drift",
    "reward": "reward",
    "preference": "reward",
    "win_rate_vs_sft": "reward",
    "cost": "cost",
    "tokens_per_answer": "cost",
}


def _metric(
    path: str, label: str, unit: str, better: Better, style: Style, reading: str, **rest: Any
) -> Metric:
    return Metric(
        path=path, label=label, unit=unit, better=better, style=style, reading=reading, **rest
    )


ENTROPY = "entropy_of_response"  # nats per response: what the harness counts for the entropy

_A, _K, _C = "adoption", "kl_to_reference", "cost.device_seconds"

METRICS: tuple[Metric, ...] = (
    _metric(
        f"{_A}.exact", "adoption, exact", "probability", "higher", "share",
        "mean over prompts of Π_t π(marker_t | prompt, marker_<t): the probability that an answer "
        "opens with the asked-for words, by teacher forcing; nothing is sampled. A lower bound: it "
        "takes one spelling of the words and one way to cut them into tokens.",
        behaviour=True, compared=True, headline=True, probe="adoption_exact", logits=True,
    ),
    _metric(
        f"{_A}.sampled", "adoption, sampled", "share", "higher", "share",
        "answers that open with those words, however they are spelled in capitals or cut into "
        "tokens / answers, sampled at temperature 1.",
        behaviour=True, compared=True, counted=True,
    ),
    _metric(
        f"{_A}.greedy", "adoption, greedy", "share", "higher", "share",
        "the same share when every token is the most likely one, one answer a prompt.",
        behaviour=True, compared=True, counted=True, probe="adoption_greedy", logits=True,
    ),
    _metric(
        f"{_K}.exact", "KL, exact", "nats/response", "lower", "number",
        "E_y~π Σ_t Σ_v π(v) log(π(v) / π_ref(v)): drift from the reference within the response "
        "limit (evaluation.max_new_tokens), over the whole vocabulary at each position. Its style "
        "part is exact; the rest is averaged along responses sampled at temperature 1.",
        compared=True, headline=True, probe="kl_exact", logits=True,
    ),
    _metric(
        f"{_K}.k1", "KL, k1", "nats/response", "lower", "number",
        "E_y~π Σ_t log(π(y_t) / π_ref(y_t)): the same quantity from the sampled tokens alone; "
        "unbiased but noisier, a check on the exact one.",
        logits=True,
    ),
    _metric(
        f"{_K}.k3", "KL, k3", "nats/response", "lower", "number",
        "E_y~π Σ_t (ρ - 1 - log ρ), ρ = π_ref(y_t) / π(y_t): the same again, never negative.",
        logits=True,
    ),
    _metric(
        f"{_K}.per_token", "KL per token", "nats/token", "lower", "number",
        "exact KL of all responses / tokens of all responses: drift that longer answers do not "
        "inflate.",
        ratio_of=(f"{_K}.exact", "length"), logits=True,
    ),
    _metric(
        f"{_K}.style", "KL, style part", "nats/response", "", "number",
        "Σ_t P(still on the prefix at t) KL_t, by teacher forcing; nothing is sampled, and no "
        "prompt's is below its floor. Style + content = exact, by the chain rule.",
        behaviour=True, compared=True, probe="kl_style", logits=True,
    ),
    _metric(
        f"{_K}.content", "KL, content part", "nats/response", "lower", "number",
        "the positions after the prefix, or after leaving it, along sampled responses: drift that "
        "nobody asked for.",
        behaviour=True, compared=True, probe="kl_content", logits=True,
    ),
    _metric(
        f"{_K}.floor", "KL floor", "nats/response", "", "number",
        "mean over prompts of a log(a/p0) + (1-a) log((1-a)/(1-p0)), with a and p0 the prompt's "
        "adoption by the policy and by SFT: no policy can adopt so far for less.",
        behaviour=True, compared=True, probe="kl_floor", logits=True,
    ),
    _metric(
        f"{_K}.bound", "KL, upper bound", "nats/response", "lower", "number",
        "log n - (n - 1)/n: no more drift can a choice among n samples of the reference make "
        "(Beirami et al. 2024); for a policy that is no single model.",
        logits=False,
    ),
    _metric(
        f"{_K}.efficiency", "efficiency", "ratio", "higher", "share",
        "KL floor / exact KL: the share of the drift that the behaviour itself required; at "
        "most 1 but for sampling noise.",
        behaviour=True, compared=True, headline=True, probe="efficiency", not_of=("sft",),
        ratio_of=(f"{_K}.floor", f"{_K}.exact"), logits=True,
    ),
    _metric(
        "reward.proxy", "reward, proxy", "score", "higher", "number",
        "mean r(x, y) by the reward model that methods with a reward were trained against; rises "
        "when that model is fooled, too. A score's zero means nothing: read differences.",
        compared=True,
    ),
    _metric(
        "reward.held_out", "reward, judge", "score", "higher", "number",
        "mean r(x, y) by the judge: a reward model that learned from prompts which teach nobody "
        "else (data.judge_share), and that no policy was trained against.",
        compared=True, headline=True,
    ),
    _metric(
        "preference.accuracy", "accuracy on labelled pairs", "share", "higher", "share",
        "pairs of held-out responses whose better one, by the labels, gained more log(π / π_ref) "
        "than the other / pairs; a tie counts 1/2; mean over prompts. 0.5 is guessing, and SFT "
        "ties everywhere.",
        compared=True, counted=True, judged=True, not_of=("sft",), logits=True,
    ),
    _metric(
        "preference.ties", "ties on labelled pairs", "share", "", "share",
        "pairs with equal log(π / π_ref) / pairs: 1 says that the policy is the SFT model.",
        not_of=("sft",), logits=True,
    ),
    _metric(
        "win_rate_vs_sft", "win rate against SFT", "share", "higher", "share",
        "answers, sampled at temperature 1, that a judge which no policy was trained against "
        "prefers to the SFT model's / comparisons; a tie counts 1/2; mean over prompts. 0.5 is a "
        "draw.",
        not_of=("sft",),
    ),
    _metric(
        "length", "response length", "tokens", "", "number",
        "mean number of tokens in a sampled response, the end token counted, at most the response "
        "limit.",
        compared=True,
    ),
    _metric(
        "eos_rate", "ended by itself", "share", "higher", "share",
        "responses that reached the end token within the response limit / responses (EOS rate).",
        compared=True, counted=True, probe="eos_rate",
    ),
    _metric(
        "entropy", "entropy", "nats/token", "", "number",
        "-Σ_v π(v) log π(v), summed over the tokens of all responses / these tokens: near 0, the "
        "policy has one answer left.",
        compared=True, ratio_of=(ENTROPY, "length"), logits=True,
    ),
    _metric(
        "distinct_2", "distinct-2", "ratio", "", "share",
        "different pairs of neighbouring tokens / all such pairs, in the sampled responses to one "
        "prompt; mean over prompts. Low is repetitive; more samples a prompt lower it, too.",
    ),
    _metric(
        f"{_C}.path_total", "device time, path", "seconds", "lower", "seconds",
        "seconds the device was held for every stage that the method's path needs, SFT included; "
        "evaluation is not charged.",
    ),
    _metric(
        f"{_C}.after_sft", "device time after SFT", "seconds", "lower", "seconds",
        "the same without the SFT stage, which both paths share.",
    ),
    _metric(
        "cost.peak_memory_bytes", "peak memory", "MiB", "lower", "mebibytes",
        "the most memory that the path's stages held at once, evaluations in between left out (on "
        "a CPU, resident memory of the process, which may keep what an evaluation took); 1 MiB = "
        "2^20 bytes.",
    ),
    _metric(
        "cost.tokens.trained", "tokens trained on", "tokens", "", "count",
        "tokens that went through a gradient step, repeats counted.",
    ),
    _metric(
        "cost.tokens.generated", "tokens generated", "tokens", "", "count",
        "tokens that the policy sampled in order to learn from them.",
    ),
    _metric(
        "tokens_per_answer", "tokens sampled per answer", "tokens", "lower", "number",
        "mean number of tokens sampled to give one answer, those of the answers that are not given "
        "included: what use costs where a policy is no single model, which samples its response "
        "length.",
        logits=False,
    ),
    _metric(
        "cost.padding_share", "padding, pairs", "share", "lower", "share",
        "positions of the method's training batches that hold padding, over all positions.",
        of_pairs=True, not_of=("sft",),
    ),
)  # fmt: skip

BY_PATH = {metric.path: metric for metric in METRICS}
COMPARED = tuple(metric for metric in METRICS if metric.compared)
PROBED = tuple(metric for metric in METRICS if metric.probe)
