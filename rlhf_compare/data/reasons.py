"""Why a row is dropped. FAULTS: the row is malformed. RULES: the recipe excludes it."""

FAULT_LIMIT = "faults"  # the name of all faults together, in data.max_dropped_share

FAULTS = {
    "invalid_utf8": "the bytes are no UTF-8, or an escape is half a character",
    "invalid_json": "the line is no JSON",
    "not_an_object": "the line is JSON, but no object with fields",
    "missing_field": "a field of the format is missing",
    "not_text": "a field that should be text is something else",
    "not_only_text": "a turn holds something that is not text (an image, a tool call)",
    "invalid_cell": "a cell that should hold a list begins as one, but is none",
    "extra_cells": "the row has more cells than the header",
    "missing_cells": "the row has fewer cells than the header",
    "new_column": "a prompt or response stands in a column that the first rows do not have",
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
    "bad_label": "the label is neither good nor bad",
    "template_refused": "the chat template refuses the conversation",
    "end_token_inside": "a response holds the token that ends responses as text",
}

RULES = {
    "multi_turn": "the conversation has two or more human turns (data.multi_turn)",
    "already_prefixed": "the answer starts with the marker already",
    "marked_bad": "the response is marked as bad, so it is no demonstration",
    "feeds_nothing": "it holds nothing of the kinds that the source feeds (feeds)",
    "duplicate": "a row with the same in every column read came before (data.duplicates)",
    "leaked": "the prompt is on the evaluation side (data.leaks)",
    "outweighed": "left out to keep the sources' weights",
    "too_long": "prompt or response is over the maximum length",
}

REASONS = {**FAULTS, **RULES}

# What a recipe can do where a rule leaves too little.
WAYS_OUT = {
    "multi_turn": "data.multi_turn=last takes conversations up to their last human turn",
    "marked_bad": "a row marked bad can only be the rejected side of a pair; where a mark means "
    "something else, take its column out of the file",
    "duplicate": "data.duplicates=keep keeps rows that say the same",
    "too_long": "raise data.max_prompt_length or data.max_length",
}


class RowDropError(Exception):
    """A row cannot be used. Raised and caught within the data layer; no user sees it.

    Args:
        reason: a key of :data:`REASONS`.
        detail: what is wrong with this row, for instance the field.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail
