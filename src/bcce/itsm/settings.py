"""What an operator can set about tickets."""

from pydantic import Field

from bcce.config.model import Section


class ItsmSettings(Section):
    """The section `itsm`."""

    book: str = Field(default="embedded", description="The ticket book that incidents are written into.")
