"""Why a row is dropped. A fault is the row's; a rule is the recipe's."""

FAULT_LIMIT = "faults"  # the name of all faults together, in data.max_dropped_share

FAULTS = {
    "invalid_utf8": "the bytes are no UTF-8, or an escape is half a character",
    "invalid_json": "the line is no JSON",
    "not_an_object": "the line is JSON, but no object with fields",
    "missing_field": "a field of the format is missing",
    "not_text": "a field that should be text is something else",
    "nul_character": "a text holds a NUL character",
    "bad_scores": "scores are not one finite number for each response",
    "too_few_responses": "fewer than two responses to rank",
    "no_assistant_turn": "the conversation does not end in an assistant's turn",
    "roles_out_of_order": "the turns do not alternate from human to assistant",
    "empty_prompt": "the question is empty",
    "empty_chosen": "there is no preferred answer, or it is empty",
    "empty_rejected": "there is no second answer that is not empty",
    "prompts_differ": "chosen and rejected answer different prompts",
    "equal_sides": "all responses are the same text",
    "template_refused": "the chat template refuses the conversation",
    "end_token_inside": "a response holds the token that ends responses as text",
}

RULES = {
    "multi_turn": "the conversation has two or more human turns (data.multi_turn)",
    "already_prefixed": "the answer starts with the marker already",
    "feeds_nothing": "no stage that the source feeds can use it (feeds)",
    "duplicate": "the same row came before (data.duplicates)",
    "leaked": "the prompt is on the evaluation side (data.leaks)",
    "outweighed": "left out to keep the sources' weights",
    "too_long": "prompt or response is over the maximum length",
}

REASONS = {**FAULTS, **RULES}


class RowDropError(Exception):
    """A row cannot be used. Raised and caught within the data layer; no user sees it.

    Args:
        reason: a key of :data:`REASONS`.
        detail: what is wrong with this row, for instance the field.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail
