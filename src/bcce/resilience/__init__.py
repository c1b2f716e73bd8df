"""Decisions about trying again, giving up and leaving alone. Pure, apart from the calls that are made through them."""

from bcce.resilience.breaker import Breaker, BreakerPolicy, BreakerRecord, BreakerStore, Circuit
from bcce.resilience.bulkhead import Bulkhead
from bcce.resilience.deadline import Deadline
from bcce.resilience.errors import BulkheadFull, CircuitOpen
from bcce.resilience.retry import Backoff, RetryPolicy, retrying

__all__ = [
    "Backoff",
    "Breaker",
    "BreakerPolicy",
    "BreakerRecord",
    "BreakerStore",
    "Bulkhead",
    "BulkheadFull",
    "Circuit",
    "CircuitOpen",
    "Deadline",
    "RetryPolicy",
    "retrying",
]
