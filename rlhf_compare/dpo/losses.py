"""What a DPO section trains, in the words of the field."""

from rlhf_compare.runs.arguments import StageSection

# TRL's names -> the field's; where the loss itself is meant, and not the paper that it came with,
# its plain name
_LOSSES = {
    "sigmoid": "DPO",
    "sigmoid_norm": "length-normalised DPO",
    "hinge": "hinge loss",
    "ipo": "IPO",
    "exo_pair": "EXO",
    "nca_pair": "NCA",
    "robust": "robust DPO",
    "bco_pair": "BCO",
    "sppo_hard": "SPPO (hard)",
    "aot": "AOT",
    "aot_unpaired": "AOT (unpaired)",
    "apo_zero": "APO (zero)",
    "apo_down": "APO (down)",
    "discopop": "DiscoPOP",
    "sft": "SFT",
}


def label(section: StageSection) -> str:
    """The objective of a section's settings; ``DPO`` is the sigmoid loss of Rafailov et al. (2023),
    equation 7, and nothing else.

    ``beta`` is every loss's own knob and is not named; a loss of weight 0 trains nothing.
    """
    parts = _weighted(section)
    names = [_LOSSES.get(loss, f"loss {loss}") for loss, _ in parts]
    if [loss for loss, _ in parts] == ["sft"]:
        names = ["SFT on chosen, by DPO's trainer"]
    negative = [f"weight {weight:g} of {loss}" for loss, weight in parts if weight < 0]
    return ", ".join([" + ".join(names) or "no loss", *negative, *_changed(section)])


def _weighted(section: StageSection) -> list[tuple[str, float]]:
    losses, weights = section.value("loss_type"), section.value("loss_weights")
    losses = [losses] if isinstance(losses, str) else list(losses)
    given = weights if weights and len(weights) == len(losses) else [1.0] * len(losses)
    return [(loss, weight) for loss, weight in zip(losses, given, strict=True) if weight != 0]


def _changed(section: StageSection) -> list[str]:
    """Settings beside the loss's name that make another objective of it."""
    found = []
    if smoothing := section.value("label_smoothing"):
        found.append(f"label smoothing {smoothing:g}")
    divergence = section.value("f_divergence_type")
    divergence = str(getattr(divergence, "value", divergence))
    if divergence != "reverse_kl":
        found.append(divergence.replace("_", " "))
    if section.value("ld_alpha") not in (None, 1.0):
        found.append(f"length-desensitised {section.value('ld_alpha'):g}")
    if section.value("use_weighting"):
        found.append("WPO weights")
    if section.value("sync_ref_model"):
        found.append("moving reference")
    return found
