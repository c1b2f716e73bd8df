"""The text before it is parsed: characters that PowerShell takes for others become those.

Source: PowerShell language specification 3.0, 2.2 and 2.3.5.2: dashes, quotes and blanks of other scripts count like those of ASCII.
"""

_SAME = {
    **dict.fromkeys("\u2013\u2014\u2015", "-"),
    **dict.fromkeys("\u2018\u2019\u201a\u201b", "'"),
    **dict.fromkeys("\u201c\u201d\u201e", '"'),
    **dict.fromkeys("\u00a0\u0085\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000", " "),
}
_TABLE = str.maketrans(_SAME)


def prepare(text: str) -> str:
    """The text with the same number of characters, so that places stay the same."""
    return text.replace("\r\n", "\n").translate(_TABLE)
