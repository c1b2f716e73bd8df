"""Folders in which the whole machine or everybody's files live."""

import re

_TREE = re.compile(
    r"(?:[a-z]:|\$env:systemdrive|%systemdrive%|\\\\\?\\[a-z]:)?[\\/]*(?:\*(?:\.\*)?)?"
    r"|(?:[a-z]:)?[\\/]+(?:windows|winnt|users|program files(?: \(x86\))?|programdata|documents and settings|boot|recovery|efi|inetpub|"
    r"data|backups?|shares?|home)(?:[\\/]+\*(?:\.\*)?)?[\\/]*"
    r"|(?:[a-z]:)?[\\/]+windows[\\/]+(?:system32|syswow64|winsxs|system|inf|fonts|boot|drivers|servicing|ntds|"
    r"sysvol)(?:[\\/]+(?:drivers|config|\*))*(?:[\\/]+\*(?:\.\*)?)?[\\/]*"
    r"|(?:[a-z]:)?[\\/]+users[\\/]+(?:[^\\/]+|\*)(?:[\\/]+(?:documents|desktop|downloads|appdata|\*))?(?:[\\/]+\*(?:\.\*)?)?[\\/]*"
    r"|(?:%|\$env:)?(?:systemroot|windir|userprofile|programfiles|programdata|systemdrive|homedrive|public|homepath|"
    r"allusersprofile)%?[\\/]*(?:system32)?[\\/]*\*?"
    r"|hk(?:lm|cu|cr|u):?[\\/]*(?:software|system|sam|security|\*)?[\\/]*\*?|~[\\/]*\*?|/(?:etc|usr|var|home|boot|bin|opt|root|"
    r"lib)?[\\/]*\*?",
    re.IGNORECASE,
)


def is_tree(path: str) -> bool:
    """`path` is a drive, a folder of the system, or the folder of all users, also with a star behind it."""
    text = path.strip().strip("\"'")
    return text not in ("", "*", "\\*", "*.*") and _TREE.fullmatch(text) is not None and not text.startswith("\ue000")
