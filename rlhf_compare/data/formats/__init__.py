"""One row, in whatever published columns, to a conversation and K responses to it.

names, values   what the name of a column says, and what its cells hold
recognise       the first rows of a source to its layout: which column plays which role
layout, parse   a row, seen through the layout, to an example
"""

from rlhf_compare.data.formats.draft import LayoutError
from rlhf_compare.data.formats.example import Example, Row
from rlhf_compare.data.formats.layout import Layout
from rlhf_compare.data.formats.parse import parse_row
from rlhf_compare.data.formats.recognise import recognise

__all__ = ["Example", "Layout", "LayoutError", "Row", "parse_row", "recognise"]
