"""From one results object to tables, figures, Markdown, HTML and the terminal.

schema.py         the contract as types; method_schema.py: one method, provenance_schema.py: where
                  its numbers come from, schema_types.py: what these share
results.py        results.json, read and written
tables.py         every table as plain data, used by all three renderers
verdict.py        the opening paragraph, computed from the numbers; caveats.py what limits it
applicable.py     which numbers cannot exist, so that no page calls them missing
comparisons.py    who is compared with whom; levels.py whether a method learned anything at all
reward_checks.py  what was found in the reward model; doctor.py where that was overruled
figures.py        the figures, PNG and SVG; drawing.py what they share
numbers.py        a number as text
escaping.py       hostile text made harmless for Markdown and visible everywhere
report.py         the page; terminal.py the same table in 80 columns

Nothing here trains, loads or measures: no torch, no checkpoint, only the results object.
"""
