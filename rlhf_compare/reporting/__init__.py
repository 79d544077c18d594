"""From one results object to tables, figures, Markdown, HTML and the terminal.

results.py   the contract: schema, validation, reading and writing `results.json`
metrics.py   what a metric is: path, unit, direction, format, formula
tables.py    every table as plain data, used by all three renderers
verdict.py   the opening paragraph, computed from the numbers; caveats.py what limits it
figures.py   three figures, PNG and SVG; drawing.py what they share
escaping.py  hostile text made harmless for Markdown and visible everywhere
report.py    the page; terminal.py the same table in 80 columns; files.py all-or-nothing writes

Nothing here trains, loads or measures: no torch, no checkpoint, only the results object.
"""
