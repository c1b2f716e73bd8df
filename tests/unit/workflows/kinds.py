"""Step types that do nothing, for tests of what stands in a file."""

from pydantic import BaseModel

from bcce.workflows.model import Effect, completed
from bcce.workflows.step_type import Done, StepContext, StepOutcome


class Kind:
    """A step type of any name with any parameters."""

    effect = Effect.PURE

    def __init__(self, name: str, params: type[BaseModel], takes: frozenset[str] = frozenset()) -> None:
        self.name = name
        self.params = params
        self.takes_references = takes

    async def run(self, context: StepContext, params: BaseModel) -> StepOutcome:
        """Ends well."""
        return Done(result=completed())
