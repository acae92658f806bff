"""The matrix of faults: what is done to a run, when, and what comes of it.

Each row is declared once, as a ``Row``; its test makes the fault and sees that the run ends as the
row says, and ``docs/faults.md`` is made of the same rows.
"""
