"""Plain DPO whose pairs are learnt and whose behaviour is not: the page says why."""

from statistics import fmean
from typing import Any

from rlhf_compare.reporting.comparisons import contenders
from rlhf_compare.reporting.evidence import ADOPTION
from rlhf_compare.reporting.labels import label_of
from rlhf_compare.reporting.method_schema import TrainingRun
from rlhf_compare.reporting.recipe_facts import section, variant
from rlhf_compare.reporting.schema import Results

_DPO = "DPO"  # how a column of its own loss is labelled, before the name of a variant
_ADOPTED = 0.9  # exact adoption: from it on nothing has to be explained
_LEARNT = 0.01  # mean loss on held-out pairs: below it pairs have little left to teach
_BETA = 0.1  # TRL's, where the recipe gives none


def displaced(results: Results) -> list[str]:
    """Columns of plain DPO that adopt less than 0.9 though their last probes call the pairs learnt:
    the mean of DPO's own loss on the probe's pairs is below 0.01."""
    notes = []
    for name in contenders(results):
        settings, adoption = _settings(results, name), results.methods[name].value(ADOPTION)
        ends = [_last(run) for run in results.methods[name].training]
        seen = [end for end in ends if end is not None]
        if settings is None or adoption is None or adoption >= _ADOPTED or not seen:
            continue
        loss, chosen, rejected = (fmean(values) for values in zip(*seen, strict=True))
        beta = settings.get("beta")
        beta = float(beta) if isinstance(beta, int | float) else _BETA
        if loss < _LEARNT:
            notes.append(_note(label_of(results, name), adoption, beta, chosen, rejected, loss))
    return notes


def _note(
    label: str, adoption: float, beta: float, chosen: float, rejected: float, loss: float
) -> str:
    if chosen < 0:
        how = " Both fell, so the chosen responses are less likely than before."
    elif -rejected > chosen:
        how = (
            " More of the margin comes from the rejected ones falling than from the chosen rising."
        )
    else:
        how = ""
    return (
        f"{label} adopts with probability {adoption:.2f} though its pairs are learnt: at its last "
        f"probe log(π/π_SFT) is {chosen:+.1f} nats for the chosen responses and {rejected:+.1f} "
        f"for the rejected ones, and its loss on held-out pairs (β {beta:g}) is {loss:.1g}.{how} "
        "The sigmoid loss sees the margin alone and asks for ever less as it grows; with this "
        "schedule it stopped here. What the rejected responses lose may go to responses that no "
        "pair shows. make oracle shows it where all responses are listed (docs/oracle.md, question "
        "5)."
    )


def _settings(results: Results, name: str) -> dict[str, Any] | None:
    """A column's settings where it is trained by DPO's own loss and nothing else; else None."""
    if not label_of(results, name).startswith(_DPO):
        return None
    of_variant = variant(results, name)
    own, base = of_variant.get("settings"), of_variant.get("method", name)
    settings = {**section(results, str(base)), **(own if isinstance(own, dict) else {})}
    plain = settings.get("loss_type") in (None, "sigmoid", ["sigmoid"])
    return settings if plain and not settings.get("label_smoothing") else None


def _last(run: TrainingRun) -> tuple[float, float, float] | None:
    """Loss, and log-ratios of the chosen and the rejected responses, at the last probe that holds
    them."""
    for point in reversed(run.points):
        chosen, rejected = point.value("logratio_chosen"), point.value("logratio_rejected")
        loss = point.value("held_out_loss")
        if loss is not None and chosen is not None and rejected is not None:
            return loss, chosen, rejected
    return None
