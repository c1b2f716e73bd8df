"""What can go wrong with definitions and runs."""

from bcce.kit.errors import BcceError, Conflict, InvalidDocument, NotFound, Unavailable


class InvalidWorkflow(InvalidDocument):
    """A workflow file cannot be used as it is."""

    code = "invalid-workflow"


class InvalidExpression(BcceError):
    """An expression between `{{` and `}}` cannot be evaluated."""

    code = "invalid-expression"
    status = 400


class UnknownWorkflow(NotFound):
    """There is no workflow of that name."""

    code = "unknown-workflow"


class UnknownRun(NotFound):
    """There is no such run."""

    code = "unknown-run"


class RunEnded(Conflict):
    """The run has already ended, so it takes no more facts."""

    code = "run-ended"


class StepTimedOut(Unavailable):
    """The step took longer than its timeout."""

    code = "step-timed-out"
    retryable = True


class StepBroken(BcceError):
    """The step's own code broke; the log has the details under the run's correlation id."""

    code = "step-broken"


class OutputTooLarge(BcceError):
    """The step's output is larger than the journal takes."""

    code = "output-too-large"
