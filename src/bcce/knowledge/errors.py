"""What can go wrong with documents, their parameters and their search index."""

from bcce.kit.errors import InvalidDocument, InvalidInput, NotFound, Unavailable


class InvalidSop(InvalidDocument):
    """An SOP cannot be used as it is."""

    code = "invalid-sop"


class InvalidParameter(InvalidInput):
    """An alert does not bring a parameter in the form that the SOP asks for."""

    code = "invalid-parameter"


class UnknownDocument(NotFound):
    """There is no such document in the knowledge base."""

    code = "unknown-document"


class IndexUnavailable(Unavailable):
    """The search index can neither be read nor built again."""

    code = "knowledge-index-unavailable"
