"""What can go wrong with definitions and runs."""

from bcce.kit.errors import BcceError, Conflict, Forbidden, InvalidDocument, InvalidInput, NotFound, Unavailable

#: What a step failed with that gave no error of its own.
STEP_FAILED = "step-failed"


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

    def __init__(self, message: str | None = None, *, hint: str | None = None, details: dict[str, object] | None = None) -> None:
        super().__init__(
            message, hint=hint or "`bcce run list` shows which there are, with --children those that runs started too", details=details
        )


class RunEnded(Conflict):
    """The run has already ended, so it takes no more facts."""

    code = "run-ended"


class RunQueued(Conflict):
    """The run waits for its turn in its concurrency group, so there is nothing to pause or resume."""

    code = "run-queued"


class ConcurrencyDeadlock(Conflict):
    """A run would wait for its turn in a concurrency group until a run is over that waits for it."""

    code = "concurrency-deadlock"


class NotRepeatable(Conflict):
    """The run is in no state from which it could go on or be repeated."""

    code = "run-not-repeatable"


class ChildFailed(BcceError):
    """A run that this run started and waited for did not end well."""

    code = "child-run-failed"


class StepTimedOut(Unavailable):
    """The step took longer than its timeout."""

    code = "step-timed-out"
    retryable = True


class StepBroken(BcceError):
    """The step's own code broke; the log has the details under the run's correlation id."""

    code = "step-broken"


class OutputTooLarge(BcceError):
    """A value of the step's output, or a file that it left, is larger than an artifact may be."""

    code = "output-too-large"


class ArtifactsOverLimit(BcceError):
    """The run's artifacts would have more bytes together than they may."""

    code = "artifacts-over-limit"


class ValuesTooLarge(BcceError):
    """The values that the expressions of one step read are too large to be held in memory together."""

    code = "values-too-large"


class UnknownArtifact(NotFound):
    """The run has no such artifact."""

    code = "unknown-artifact"


class InvalidHttpRequest(InvalidInput):
    """The request of an `http` step cannot be sent as it is."""

    code = "invalid-http-request"


class HttpDestinationRefused(Forbidden):
    """Workflows may not send requests there."""

    code = "http-destination-refused"


class HttpRedirectRefused(BcceError):
    """The answer leads to another place, and the step does not follow it there."""

    code = "http-redirect-refused"
    status = 502


class HttpUnreachable(Unavailable):
    """The host does not answer."""

    code = "http-unreachable"


class HttpTimedOut(Unavailable):
    """The answer took longer than it may."""

    code = "http-timed-out"
    status = 504


class HttpUnavailable(Unavailable):
    """The host answered that it cannot do it now."""

    code = "http-unavailable"


class HttpUnexpectedStatus(BcceError):
    """The host answered with a status that the step does not expect."""

    code = "http-unexpected-status"
    status = 502


class HttpAnswerTooLarge(BcceError):
    """The answer is larger than the step takes."""

    code = "http-answer-too-large"
    status = 502


class HttpAnswerUnusable(BcceError):
    """The answer is not what HTTP allows, or is compressed although that was not asked for."""

    code = "http-answer-unusable"
    status = 502


class NoAgentRunner(BcceError):
    """Nobody is installed here who could do the agent's step."""

    code = "no-agent-runner"


class AgentTimedOut(Unavailable):
    """The agent took longer than its policy allows and was stopped."""

    code = "agent-timed-out"
    status = 504


class AgentPolicyViolated(Forbidden):
    """The agent did what its policy does not allow."""

    code = "agent-policy-violated"


class DeliveryFailed(Unavailable):
    """A connector did not take an event; it is tried again."""

    code = "delivery-failed"


class SandboxUnavailable(BcceError):
    """Scripts of workflows cannot be locked in on this machine, so they are not started."""

    code = "sandbox-unavailable"


class SandboxBroken(Unavailable):
    """The sandbox could not be set up for a script; it was not started."""

    code = "sandbox-broken"


class ScriptFailed(BcceError):
    """The script ended with an error."""

    code = "script-failed"


class ScriptTimedOut(Unavailable):
    """The script took longer than it may and was stopped."""

    code = "script-timed-out"
    status = 504


class ScriptOverLimit(BcceError):
    """The script used more memory, output or disk than it may and was stopped."""

    code = "script-over-limit"


class ScriptOutputInvalid(BcceError):
    """The last line that the script printed is not a JSON object."""

    code = "script-output-invalid"
