"""The one data layer: whatever the source, every stage gets the same pairs and the same tokens.

sources   where rows come from (embedded, a file, a hub dataset)
formats   one row, however written, to question + answers
tasks     question + answers to (prompt, chosen, rejected, demonstration)
encoding  text to token ids: the only place in the project that tokenises
splits    which side of train / eval a prompt lives on
ledger    what became of every row read
prepare   all of the above in order
views     the columns that a trainer takes, by the kind of rows that it needs
"""
