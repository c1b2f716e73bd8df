"""Reference pages written from the code, so that they cannot drift from it.

`python -m tools.docs` writes `docs/reference/`; `python -m tools.docs --check` compares and changes nothing. A page is a function in
`pages.py`.
"""
