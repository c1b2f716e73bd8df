"""Starting scripts: at most once, on the right target, with a signed permission, and finding them again.

`model` holds the words, `executor` the door, `executors` what is behind it, `marker` the protocol on the target, `signing` the permission.
"""

from bcce.execution.executor import OUTPUT_CHUNK_BYTES, Executor
from bcce.execution.signing import admit, open_clearance, sign_clearance

__all__ = ["OUTPUT_CHUNK_BYTES", "Executor", "admit", "open_clearance", "sign_clearance"]
