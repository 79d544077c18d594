"""The one data layer: whatever the source, every stage gets the same pairs and the same tokens.

sources     where rows come from (embedded, a file, a hub dataset)
formats     one row, however written, to a conversation and K responses
tasks       these to a prompt, K ranked responses and a demonstration
parse       a raw row through formats and tasks, or the reason why it is dropped
first_pass  all rows parsed, their texts on disk
selection   decisions that need all rows: duplicates, train or eval side, weights
encoding    text to token ids: the only module in the project that tokenises
splits      which side of train / eval a prompt lives on
ledger      what became of every row read
prepare     all of the above in order
views       the columns that a trainer takes, by the kind of rows that it needs
"""
