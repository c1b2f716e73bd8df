"""What the knowledge base says about its documents. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from bcce.kit.errors import InvalidDocument
from bcce.kit.ids import DocumentId, TenantId
from bcce.knowledge.sop import Sop

#: An alert name that an SOP lists says more than a document's own title or file name.
NameKind = Literal["alert", "title", "slug"]
MatchedBy = Literal["exact-name", "search"]
Change = Literal["added", "changed", "unchanged"]


class SearchableAlert(Protocol):
    """The part of an alert that an SOP is found by."""

    @property
    def name(self) -> str:
        """The alert's name."""
        ...

    @property
    def labels(self) -> Mapping[str, str]:
        """The alert's labels."""
        ...

    @property
    def summary(self) -> str:
        """One line about what is wrong; may be empty."""
        ...

    @property
    def description(self) -> str:
        """More about what is wrong; may be empty."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class DocumentInfo:
    """A document without its text.

    `slug` is its name within the tenant, `digest` names exactly its text, `version` counts its texts from 1, `origin` is the file or
    interface that its text came from. `updated_at` is UTC.
    """

    id: DocumentId
    tenant_id: TenantId
    kind: str
    slug: str
    title: str
    digest: str
    version: int
    origin: str
    updated_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """A document with its text and what the text means."""

    info: DocumentInfo
    text: str
    sop: Sop


@dataclass(frozen=True, kw_only=True, slots=True)
class DocumentVersion:
    """One text that a document has or had. `actor` is who put it there."""

    version: int
    digest: str
    text: str
    origin: str
    actor: str
    created_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class PutResult:
    """A document after `put`, and whether that made a difference."""

    info: DocumentInfo
    change: Change


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadFailure:
    """A file that could not be loaded, and why."""

    path: str
    error: InvalidDocument


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadResult:
    """What became of a folder's files: paths in alphabetical order."""

    loaded: tuple[str, ...]
    unchanged: tuple[str, ...]
    failed: tuple[LoadFailure, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchHit:
    """A found document. `score` is above 0 and only compares within one search; `matched` counts the searched words that it holds."""

    info: DocumentInfo
    score: float
    matched: int


@dataclass(frozen=True, kw_only=True, slots=True)
class SopMatch:
    """The SOP that fits an alert. `score` is 1.0 for an exact name, else that of the search."""

    document_id: DocumentId
    slug: str
    version: int
    digest: str
    sop: Sop
    how: MatchedBy
    score: float
