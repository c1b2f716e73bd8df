"""Decisions about trying again and giving up. Pure, apart from the one loop for edges that have no journal."""

from bcce.resilience.deadline import Deadline
from bcce.resilience.retry import Backoff, RetryPolicy, retrying

__all__ = ["Backoff", "Deadline", "RetryPolicy", "retrying"]
