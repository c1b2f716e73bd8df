"""Rules of the house that types and ruff cannot hold, checked on the syntax tree.

Run `python -m tools.lint src`. A rule is a function in `rules.py` whose docstring gives its reason; a place that has a good reason to break
one stands in `exemptions.py` with that reason. The rules keep honest authors from slipping; they do not stop whoever wants to get around
them.
"""
