"""Documents that tell what to do about an alert, and the search that finds the right one."""

from bcce.knowledge.errors import IndexUnavailable, InvalidParameter, InvalidSop, UnknownDocument
from bcce.knowledge.index import SearchIndex
from bcce.knowledge.markdown import read_sop
from bcce.knowledge.model import Document, DocumentInfo, DocumentVersion, LoadFailure, LoadResult, PutResult, SearchHit, SopMatch
from bcce.knowledge.parameters import parameters_for
from bcce.knowledge.service import KnowledgeService
from bcce.knowledge.settings import KnowledgeSettings
from bcce.knowledge.sop import HttpVerification, Sop, SopParameter, SopVerification

__all__ = [
    "Document",
    "DocumentInfo",
    "DocumentVersion",
    "HttpVerification",
    "IndexUnavailable",
    "InvalidParameter",
    "InvalidSop",
    "KnowledgeService",
    "KnowledgeSettings",
    "LoadFailure",
    "LoadResult",
    "PutResult",
    "SearchHit",
    "SearchIndex",
    "Sop",
    "SopMatch",
    "SopParameter",
    "SopVerification",
    "UnknownDocument",
    "parameters_for",
    "read_sop",
]
