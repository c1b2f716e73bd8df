"""The words everything else is written in: clock, ids, errors, findings, events, secrets.

Pure: no I/O, no settings, no knowledge of any domain.
"""
