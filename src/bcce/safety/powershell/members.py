"""Methods, types and properties: which of them only compute or read."""

import re

from bcce.safety.powershell.api import COLLECTION, METHODS, OBJECT_TYPES, OWN, STATIC, STATIC_ANY, STATIC_NOT, TYPES
from bcce.safety.powershell.lookups import carried_away
from bcce.safety.powershell.nodes import (
    Assign,
    Block,
    Cast,
    Command,
    Group,
    Index,
    Member,
    Node,
    Parameter,
    Table,
    Text,
    TypeName,
    Variable,
)
from bcce.safety.powershell.secrets import is_secret_place
from bcce.safety.powershell.tables import ALIASES
from bcce.safety.powershell.values import plain
from bcce.safety.powershell.view import View

_SPECIAL = re.compile(
    r"psdefaultparametervalues|whatifpreference|confirmpreference|executioncontext|psmoduleautoloadingpreference|psmodulepath|"
    r"psemailserver|pssessionoption"
    r"|pssessionconfigurationname|pshome|profile|psversiontable|shellid|host|home|pwd|env:.*|function:.*|alias:.*|[a-z]:.*|\w{2,}:.*"
)


def why_not_method(view: View, node: Member) -> str | None:
    """Why calling this method is not proven to be harmless; None when it is."""
    name = (view.values.text(node.name) or "").lower()
    if not name:
        return None if isinstance(node.name, Text) else "the name of the method is computed"
    if node.is_static:
        if not isinstance(node.target, TypeName):
            return "a static method of a computed type"
        return _why_not_static(view, node.target.name.removeprefix("system."), name, node)
    args = node.args or ()
    if name in ("foreach", "where") and not all(isinstance(item, Block | TypeName) for item in args[:1]):
        return f"what .{name}() does to each item is not known"
    if name == "gettype" and args:
        return "a type is looked for by its name"
    if name == "send" and len(args) > 2:
        return "something is sent"
    if name == "replace" and len(args) > 1 and _is_file(view, node.target):
        return "a file takes the place of another one"
    if name in METHODS:
        return None
    kind = kind_of(view, node.target)
    if kind is not None and any(name in names for pattern, names in OWN if pattern.fullmatch(kind)):
        return None
    return f"what .{name}() does is not known"


def _is_file(view: View, node: Node) -> bool:
    """The value is a file, as far as the script shows where it comes from."""
    if isinstance(node, Group) and node.kind == "paren" and len(node.items) == 1:
        return _is_file(view, node.items[0])
    if isinstance(node, Variable):
        return any(
            item.value is not None and not isinstance(item.value, Variable) and _is_file(view, item.value)
            for item in view.assigned.get(plain(node.name), ())
        )
    if isinstance(node, Command):
        name = (view.values.text(node.name) or "").lower()
        return ALIASES.get(name, name) in ("get-item", "get-childitem") or "fileinfo" in view.raw(node).lower()
    return (
        isinstance(node, Cast | Member)
        and re.match(r"\[(?:system\.)?io\.(?:fileinfo|directoryinfo)\]", view.raw(node), re.IGNORECASE) is not None
    )


def _why_not_static(view: View, kind: str, name: str, node: Member) -> str | None:
    if (kind, name) in STATIC_NOT:
        return f"[{kind}]::{name}() changes something"
    words = STATIC.get(kind)
    if kind == "net.dns" and (reason := carried_away(view, node.args or ())) is not None:
        return reason
    if words is not None:
        if "*" not in words and name not in words:
            return f"what [{kind}]::{name}() does is not known"
        if kind.startswith("io.") and any(is_secret_place(view.word(item)) for item in node.args or ()):
            return "a place where secrets are kept is read"
        return None
    if STATIC_ANY.fullmatch(kind):
        if kind == "array" and name in ("sort", "reverse", "clear", "copy", "resize"):
            return None
        return None
    return f"what [{kind}]::{name}() does is not known"


def why_not_type(name: str) -> str | None:
    """Why a type may not be named; None when it may."""
    return None if TYPES.fullmatch(name.removeprefix("system.")) else f"what the type [{name}] does is not known"


def why_not_object(name: str) -> str | None:
    """Why New-Object may not make one of these; None when it may."""
    return None if OBJECT_TYPES.fullmatch(name.lower()) else f"what an object of the type {name[:60]} does is not known"


def kind_of(view: View, node: Node) -> str | None:
    """What the script made itself: `text`, `table`, or a type in lower case; None for what came from elsewhere.

    A list is None unless all its items are texts: a method that it lacks is called on each of its items.
    """
    if isinstance(node, Text):
        return "text"
    if isinstance(node, Table):
        return "table"
    if isinstance(node, Group) and node.kind in ("list", "array"):
        return "text" if all(isinstance(item, Text) for item in node.items) else None
    if isinstance(node, Group) and node.kind == "paren" and len(node.items) == 1:
        return kind_of(view, node.items[0])
    if isinstance(node, Cast) and isinstance(node.type, TypeName):
        name = node.type.name.removeprefix("system.")
        if name in ("ordered", "pscustomobject", "hashtable", "psobject"):
            return "table" if isinstance(node.value, Table) else None
        return "text" if name == "string" else name if name == "adsisearcher" or COLLECTION.fullmatch(name) else None
    if isinstance(node, Member) and node.is_static and isinstance(node.target, TypeName):
        name = node.target.name.removeprefix("system.")
        return name if node.args is not None and COLLECTION.fullmatch(name) else None
    if isinstance(node, Command):
        return _made_by(view, node)
    if isinstance(node, Variable):
        name = plain(node.name)
        if name not in view.kinds:
            made = {_makes(view, item) for item in view.assigned.get(name, ())} - {"same"}
            view.kinds[name] = made.pop() if len(made) == 1 else None
        return view.kinds[name]
    return None


def _made_by(view: View, node: Command) -> str | None:
    """The type that New-Object makes."""
    if (view.values.text(node.name) or "").lower() != "new-object":
        return None
    words = [view.word(word).lower() for word in node.words if not isinstance(word, Block | Parameter)]
    words += [view.word(word.value).lower() for word in node.words if isinstance(word, Parameter) and word.value is not None]
    name = next((word.removeprefix("system.") for word in words if OBJECT_TYPES.fullmatch(word)), None)
    return "table" if name in ("psobject", "pscustomobject", "hashtable", "object") else name


def _makes(view: View, item: Assign) -> str | None:
    """What an assignment makes of the variable; `same` when it stays what it is."""
    if item.operator in ("+=", "++") or isinstance(item.target, Member | Index):
        return "same"
    if isinstance(item.target, Cast):
        return kind_of(view, Cast(item.start, item.end, item.target.type, item.value))
    return kind_of(view, item.value) if item.operator == "=" and not isinstance(item.value, Variable) else None


def why_not_assigned(view: View, item: Assign) -> str | None:
    """Why an assignment may change more than the script's own variables; None when it does not."""
    target = item.target
    while isinstance(target, Cast | Group) and not isinstance(target, Variable):
        if isinstance(target, Group):
            reasons = [why_not_assigned(view, Assign(item.start, item.end, part, item.operator, item.value)) for part in target.items]
            return next((reason for reason in reasons if reason), None)
        target = target.value
    if isinstance(target, Variable):
        name = plain(target.name)
        return f"${target.name} changes what other commands do" if _SPECIAL.fullmatch(name) else None
    base = target
    while isinstance(base, Member | Index):
        base = base.target
    if isinstance(base, Variable) and _SPECIAL.fullmatch(plain(base.name)):
        return f"${base.name} changes what other commands do"
    if isinstance(target, Index) and isinstance(base, Variable) and not isinstance(target.target, Member):
        return None
    if (
        isinstance(target, Member)
        and isinstance(target.target, Variable)
        and kind_of(view, base) in ("table", "adsisearcher", "directoryservices.directorysearcher")
    ):
        return None
    if isinstance(target, Member) and target.is_static and isinstance(target.target, TypeName):
        name = (view.values.text(target.name) or "").lower()
        if (target.target.name.removeprefix("system."), name) in (
            ("console", "outputencoding"),
            ("net.servicepointmanager", "securityprotocol"),
        ):
            return None
    return "a property of something that is not the script's own is set"
