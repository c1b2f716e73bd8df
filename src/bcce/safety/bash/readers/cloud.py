"""The command lines of the clouds."""

import re

from bcce.safety.bash.readers.files import secret_in
from bcce.safety.bash.view import Call

#: Verbs that get a secret, or write what they get to the file that stands behind their options. Source: the reference of the AWS CLI.
_AWS_HANDS_OUT = re.compile(
    r"get-(secret.*|parameters?|parameter-history|parameters-by-path|login-password|authorization-token|password-data|session-token|"
    r"federation-token|token|role-credentials|credentials.*|id|open-id.*|object|object-torrent|export|access-key.*|"
    r"random.*|data-key.*|cluster-credentials.*|login|job-output|sdk|thing-shadow|configuration|latest-configuration|package-version-asset|"
    r"snapshot-block|media|media-for-fragment-list|clip|raw-message-content|code-binding-source|map-(?:tile|glyphs|sprites|style-descriptor)|"
    r"image-frame|image-set-metadata|read-set|reference|work-unit-results|hosted-configuration-version|chunk|object-metadata)"
)


def aws(call: Call) -> str | None:
    """AWS CLI verbs that describe. Source: the naming rules of the AWS API (Describe*, Get*, List*)."""
    words = _words(
        call,
        frozenset(
            [
                "--profile",
                "--region",
                "--output",
                "--query",
                "--cli-read-timeout",
                "--cli-connect-timeout",
                "--color",
            ]
        ),
    )
    if call.has("--endpoint-url", "--ca-bundle", "--no-verify-ssl"):
        return "another machine may be asked, with this account's signature"
    if call.has("--debug"):
        return "the signature of the request is shown"
    reason = secret_in(call, [value.partition("://")[2] for value in call.args if re.match(r"(--[a-z-]+=)?fileb?://", value)])
    if reason is not None:
        return reason
    if len(words) < 2:
        return None if call.args in (("--version",), ("help",)) else "the AWS command is not known"
    service, verb = words[0], words[1]
    if service == "s3":
        return None if verb == "ls" else f"aws s3 {verb} copies or deletes"
    if service == "logs" and verb == "tail":
        return None
    if service == "configure" and verb != "list":
        return "it reads or writes credentials"
    if service in ("secretsmanager", "sso", "kms") and not verb.startswith(("list", "describe")):
        return "it reads secrets"
    if _AWS_HANDS_OUT.fullmatch(verb):
        return "it reads secrets or writes a file"
    if re.match(
        (
            r"(describe|list|get|head|batch-get|lookup|search|estimate|filter|query|scan|select|view|test|validate|simulate|"
            r"count|preview|check)(-|$)|wait$|ls$"
        ),
        verb,
    ) and not re.match(r"test-(?!event-pattern|metric-filter|dns-answer|function|authorization|identity-provider|type)", verb):
        if verb in ("scan", "query", "select-object-content", "get-item", "batch-get-item", "get-records", "get-function"):
            return "it reads data"
        return None
    return f"aws {service} {verb} is not known to read only"


def azure(call: Call) -> str | None:
    """Azure CLI verbs that show."""
    words = _words(
        call,
        frozenset(
            [
                "-g",
                "--resource-group",
                "-n",
                "--name",
                "-o",
                "--output",
                "--query",
                "--subscription",
                "-s",
                "--vault-name",
                "--account-name",
                "-l",
                "--location",
            ]
        ),
    )
    if not words:
        return None if call.args == ("--version",) else "the Azure command is not known"
    if call.has("--debug"):
        return "the token of the request is shown"
    reason = secret_in(call, [value.partition("@")[2] for value in call.args if re.match(r"(--[a-z-]+=)?@", value)])
    if reason is not None:
        return reason
    if (
        ("keyvault" in words and "secret" in words)
        or any("key" in word and word not in ("keyvault",) for word in words)
        or "appsettings" in words
        or {"get-access-token", "get-credentials", "list-credentials", "credential", "connection-string", "list-secrets"}.intersection(
            words
        )
    ):
        return "it reads secrets"
    last = words[-1] if len(words) > 1 else words[0]
    reads = {
        word
        for word in words
        if re.fullmatch(r"list(-[\w-]+)?|show(-[\w-]+)?|get-[\w-]+|exists|check-[\w-]+|version|summarize|tail|query|what-if|validate", word)
    }
    changes = {
        word
        for word in words
        if re.match(
            (
                r"(create|delete|update|set|add|remove|start|stop|restart|invoke|run|run-command|deploy|purge|assign|import|"
                r"export|reset|regenerate|deallocate|redeploy|scale|upload|download|copy|move|attach|detach|enable|disable|"
                r"login|logout|ssh|check-acr|check-network)(-|$)"
            ),
            word,
        )
    }
    return None if reads and not changes else f"az {' '.join(words[:3])} ({last}) is not known to read only"


def _words(call: Call, valued: frozenset[str]) -> list[str]:
    """The operands in front of the first option that is not a global one."""
    found: list[str] = []
    args = list(call.args)
    while args:
        value = args.pop(0)
        if value in valued:
            args = args[1:]
        elif not value.startswith("-"):
            found.append(value)
        elif value not in (
            "--no-cli-pager",
            "--no-paginate",
            "--no-sign-request",
            "--only-show-errors",
            "--verbose",
            "--",
        ):
            break
    return found
