"""The marker protocol: one constant wrapper on the target, and what is said to it and heard from it.

`wrapper.sh` takes the decision and keeps the job; `protocol` knows its headers and answers. Neither knows how bytes get to the target.
"""
