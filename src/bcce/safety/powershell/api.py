"""What of .NET only computes or reads: types, static methods, methods of values. Source: the .NET API reference."""

import re
from collections.abc import Mapping

from bcce.safety.powershell.tables import table_lines

#: Types that may be named, converted to and asked; without `system.` in front. Source: .NET API reference.
TYPES = re.compile(
    r"(?:int|int16|int32|int64|uint16|uint32|uint64|long|short|byte|sbyte|double|single|float|decimal|bigint|bool|boolean|char|string|"
    r"object|void|array"
    r"|hashtable|ordered|pscustomobject|psobject|psnoteproperty|datetime|datetimeoffset|timespan|guid|version|semver|math|regex|uri|"
    r"convert|bitconverter|dayofweek"
    r"|switch|xml|xmldocument|xml\.xmldocument|ipaddress|net\.ipaddress|mailaddress|net\.mail\.mailaddress|cultureinfo|"
    r"globalization\.\w+|timezoneinfo|environment"
    r"|environment\+specialfolder|stringcomparison|stringsplitoptions|text\.encoding|text\.stringbuilder|text\.\w*encoding|"
    r"text\.regularexpressions\.\w+"
    r"|io\.path|io\.file|io\.directory|io\.fileinfo|io\.directoryinfo|io\.driveinfo|io\.streamreader|io\.stringreader|io\.searchoption|"
    r"io\.filemode|io\.fileaccess|io\.fileshare"
    r"|io\.fileattributes|diagnostics\.process|diagnostics\.stopwatch|diagnostics\.eventlog|diagnostics\.fileversioninfo|"
    r"diagnostics\.performancecounter|diagnostics\.eventing\.reader\.\w+"
    r"|net\.dns|net\.servicepointmanager|"
    r"net\.networkinformation\.[\w.]+|net\.securityprotocoltype|net\.httpstatuscode|collections\.[\w.+`\[\], ]+|"
    r"linq\.enumerable|random|security\.principal\.\w+"
    r"|runtime\.interopservices\.runtimeinformation|runtime\.interopservices\.osplatform|runtimeinformation|parameter|cmdletbinding|"
    r"alias|outputtype|validateset|validaterange|validatenotnullorempty|validatenotnull"
    r"|validatepattern|validatescript|validatelength|validatecount|allownull|allowemptystring|allowemptycollection|exception|"
    r"[\w.]*exception|management\.automation\.[\w.]*exception"
    r"|management\.automation\.(?:errorrecord|pscustomobject|psobject|switchparameter|actionpreference|semanticversion)|"
    r"security\.accesscontrol\.\w+|security\.cryptography\.(?:md5|sha1|sha256|sha384|sha512|x509certificates\.\w+|hashalgorithm\w*)"
    r"|ciminstance|microsoft\.management\.infrastructure\.ciminstance|wmi|serviceprocess\.\w+|microsoft\.win32\.registry(?:hive|view|"
    r"key|valuekind)?|console|consolecolor|numerics\.\w+|drawing\.\w+|web\.httputility|net\.webutility|nullable\[\w+\]|psdefaultvalue|"
    r"func\[.*\]|predicate\[.*\]|threading\.thread|gc|valuetuple|tuple\[?.*\]?|stringcomparer|lazy|ref|adsisearcher|"
    r"directoryservices\.directorysearcher|wmisearcher)"
    r"(?:\[[\],]*\])?(?:\[\])*"
)
STATIC_ANY = re.compile(
    r"(?:int|int16|int32|int64|uint32|uint64|long|short|byte|double|single|float|decimal|bigint|bool|boolean|char|string|datetime|"
    r"datetimeoffset|timespan|guid|version|semver|math|regex|uri|convert"
    r"|bitconverter|array|text\.encoding|text\.stringbuilder|text\.\w*encoding|text\.regularexpressions\.\w+|io\.path|ipaddress|"
    r"net\.ipaddress|net\.networkinformation\.[\w.]+|collections\.[\w.+`\[\], ]+"
    r"|random|globalization\.\w+|cultureinfo|enum|hashtable|pscustomobject|psobject|runtime\.interopservices\.runtimeinformation|"
    r"runtimeinformation|numerics\.\w+|object|web\.httputility|net\.webutility|net\.mail\.mailaddress|mailaddress"
    r"|security\.cryptography\.(?:md5|sha1|sha256|sha384|sha512|hashalgorithm\w*|x509certificates\.\w+)|"
    r"management\.automation\.semanticversion|stringcomparer|gc|tuple|valuetuple)"
)
STATIC_NOT = {
    ("io.path", "gettempfilename"),
    ("text.encoding", "registerprovider"),
    ("regex", "compiletoassembly"),
    ("gc", "collect"),
    ("psobject", "fromscript"),
}
COLLECTION = re.compile(
    r"(?:system\.)?(?:collections\.[\w.+`\[\], ]+|text\.stringbuilder|diagnostics\.stopwatch|net\.networkinformation\.ping|hashtable|"
    r"array|random|xml|xml\.xmldocument|xmldocument|text\.\w*encoding|security\.cryptography\.x509certificates\.x509(?:chain|"
    r"certificate2))(?:\[\])?"
)
OBJECT_TYPES = re.compile(
    r"(?:system\.)?(?:collections\.[\w.+`\[\], ]+|text\.stringbuilder|text\.\w*encoding|object|string|psobject|pscustomobject|"
    r"management\.automation\.ps(?:custom)?object|management\.automation\.psnoteproperty|psnoteproperty|timespan|datetime|random|"
    r"version|uri|guid|diagnostics\.stopwatch"
    r"|net\.networkinformation\.ping|io\.streamreader|io\.fileinfo|io\.directoryinfo|io\.stringreader|io\.driveinfo|"
    r"security\.principal\.(?:windowsprincipal|ntaccount|securityidentifier)|hashtable|xml\.xmldocument|xml|globalization\.\w+|"
    r"net\.ipaddress"
    r"|diagnostics\.performancecounter|diagnostics\.eventing\.reader\.\w+|serviceprocess\.servicecontroller|system\.array|array|"
    r"string\[\]|object\[\]|int\[\]|byte\[\]|directoryservices\.directorysearcher)"
)


def _table() -> tuple[frozenset[str], tuple[tuple[re.Pattern[str], frozenset[str]], ...], Mapping[str, frozenset[str]]]:
    methods: set[str] = set()
    own: list[tuple[re.Pattern[str], frozenset[str]]] = []
    static: dict[str, frozenset[str]] = {}
    for kind, *words in table_lines("api.txt"):
        if kind == "static":
            static[words[0]] = frozenset(words[1:])
        elif kind == "own":
            own.append((re.compile(words[0]), frozenset(words[1:])))
        else:
            methods.update(words)
    return frozenset(methods), tuple(own), static


#: Methods of any value; methods that change only their own object, by what it is; and static methods by type.
METHODS, OWN, STATIC = _table()
