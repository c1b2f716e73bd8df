"""The script policy: what an operator lets scripts do, where, when, and who has to agree.

`model` is the file, `load` reads it, `patterns` and `windows` are its small languages, `evaluate` decides. The validator finds out what a
script does; the policy says whether that is wanted. It can ask for more than the validator, and for less where a command that is written
out in full is known to be harmless here. It cannot let anything run that the validator blocks.
"""
