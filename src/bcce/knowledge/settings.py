"""What an operator can set about the knowledge base."""

from pydantic import Field

from bcce.config.model import Section


class KnowledgeSettings(Section):
    """The section `knowledge`."""

    directory: str | None = Field(default=None, description="A folder with SOPs (*.md) that are loaded at start; null for none.")
