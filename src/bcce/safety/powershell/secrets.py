"""Places in which secrets are kept."""

import re

from bcce.safety.bash.paths import is_secret
from bcce.safety.bash.values import literal_parts

#: Properties that hold a secret, or the place of one, and attributes of a directory that do. Sources: Microsoft's references of BitLocker,
#: PSReadLine, LAPS and Active Directory.
_SECRET_PROPERTY = re.compile(
    r"(?i)(?:historysavepath|recoverypassword|recoverykeypath|ms-mcs-admpwd|mslaps-(?:encrypted)?password\w*|msds-managedpassword|unicodepwd|"
    r"(?:enc)?password|securepassword|plaintextpassword|clientsecret|accesstoken|secretaccesskey|connectionstring)"
)


def is_secret_property(name: str) -> bool:
    """Reading the property shows a secret."""
    return _SECRET_PROPERTY.fullmatch(name) is not None


def is_secret_place(path: str) -> bool:
    """A file, registry key or drive in which secrets are kept, on Windows or elsewhere."""
    known = "".join(literal_parts(path))
    if not ("\\" in known or "/" in known or "." in known or ":" in known):
        return False
    return _SECRET.search(known.lower().replace("/", "\\")) is not None or is_secret(known.replace("\\", "/"))


#: Sources: ATT&CK T1003.002, T1003.003, T1552.001, T1552.002, T1552.006, T1555; Windows registry reference.
_SECRET = re.compile(
    r"^(?:registry::)?(?:hklm|hkey_local_machine)(?::|\\)\\?(?:sam|security)(?:\\|$)|\\control\\lsa(?:\\|$)|\\policy\\secrets|"
    r"\\winlogon$|\\simontatham\\putty\\sessions|\\winscp 2\\sessions|\\orl\\winvnc|\\tightvnc|\\realvnc|\\snmp\\parameters"
    r"|\\config\\(?:sam|security|system)$|ntds\.dit|\\repair\\(?:sam|system)|unattend(?:ed)?\.xml|sysprep\.(?:xml|inf)|groups\.xml|"
    r"\\policies\\.*\.xml|\\microsoft\\(?:credentials|protect|vault|crypto)(?:\\|$)"
    r"|\\user data\\.*(?:login data|cookies|web data|local state)|logins\.json|key[34]\.db|consolehost_history|\\\.(?:ssh|aws|azure|"
    r"kube|docker|gnupg)\\|web\.config$|applicationhost\.config|machine\.config|connectionstrings\.config"
    r"|appsettings[^\\]*\.json|\.rdp$|\.rdg$|\.kdbx?$|\.pfx$|\.p12$|\.pem$|\.key$|\.ppk$|\.jks$|id_(?:rsa|dsa|ecdsa|ed25519)$|\.vnc$|"
    r"\.env$|\.publishsettings$|\.git-credentials|\.netrc|_netrc|credentials(?:\.\w+)?$|secrets?(?:\.\w+)?$|passwords?[^\\]*\.\w+$|"
    r"\.ovpn$|lsass\S*\.dmp|\.dmp$|\\winlogon\\|panther\\|\.pgpass|token\.(?:json|txt)$|\\sitemanager\.xml|recentservers\.xml|filezilla"
)
