"""The words of the workflow language: every key, where it may stand, and what it means. Pure.

The one source: `reader` takes these keys and no others, `schema` describes them to editors, and a test looks for each in the documentation.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from bcce.workflows.definition import COMPOSITE, CONDITION, FOREACH, GROUP, PARALLEL

SUPPORTED_VERSIONS = ("1.0", "1")
#: What the names of workflows' steps look like.
ID_PATTERN = "[A-Za-z_][A-Za-z0-9_-]{0,63}"
#: A step that is written around another one, which it gives its retries and its fallback.
RESILIENT = "resilient"


@dataclass(frozen=True, slots=True)
class Key:
    """`kind` names the form of the value, which `schema` spells out; `default` is None when the key has none."""

    kind: str
    meaning: str
    default: object = None


Keys = Mapping[str, Key]

WORKFLOW: Keys = {
    "version": Key("version", "The version of the language.", "1.0"),
    "name": Key("name", "The name under which runs are started: letters, digits, - and _."),
    "description": Key("text", "What the workflow is for, for people.", ""),
    "inputs": Key("inputs", "What a run must or may bring, by name.", {}),
    "steps": Key("steps", "What is done. A step without `depends_on` follows the one above it."),
    "outputs": Key("mapping", "What a run gives back, by name; values may hold expressions.", {}),
    "concurrency": Key("concurrency", "How many runs of one group may be active at a time."),
    "integrations": Key("integrations", "Connectors that hear of events of each run.", []),
}
INPUT: Keys = {
    "type": Key("input-type", "The JSON type of the value.", "string"),
    "required": Key("flag", "Whether a run must bring it; true unless there is a default."),
    "default": Key("any", "The value of a run that brings none."),
    "description": Key("text", "What it is, for people.", ""),
    "secret": Key("flag", "It is kept encrypted and shown nowhere.", False),
}
#: What any step may have; every other key of a step that holds no steps is one of its parameters.
STEP: Keys = {
    "id": Key("id", "The step's name, once in the file."),
    "name": Key("id", "The same as `id`."),
    "type": Key("step-type", "What the step does: a registered step type, or one that holds other steps."),
    "description": Key("text", "What the step is for, for people.", ""),
    "depends_on": Key("names", "The steps that come first; exactly those. Without it: the step above."),
    "parallel": Key("flag", "Without `depends_on`: it waits for what the step above waits for, so both run at the same time.", False),
    "when": Key("condition", "The step is skipped unless this holds."),
    "with": Key("mapping", "The step type's parameters; they may also stand beside the other keys.", {}),
    "parameters": Key("mapping", "The same as `with`.", {}),
    "context": Key("mapping", "Values for the step, usually earlier outputs; the step type gets them as the parameter `context`.", {}),
    "retry": Key("retry", "Whether and when a failed step is tried again. Without it: one try."),
    "timeout": Key("duration", "How long the step may take, all tries together: 250ms, 30s, 5m, 2h, 1d or seconds. Without it: no limit."),
    "fallback": Key("extra", "A step that is done instead when this one has failed."),
    "on_failure": Key("on-failure", "What a failure means for the steps around it.", "fail"),
    "compensate": Key("extra", "A step that undoes this one, when a later failure says `on_failure: compensate` or the run is cancelled."),
    "policy": Key("policy", "Limits of an agent's step; the step type gets them as the parameter `policy`."),
}
RETRY: Keys = {
    "attempts": Key("attempts", "All tries, the first one among them.", 3),
    "backoff": Key("backoff", "How the pauses grow.", "exponential"),
    "base": Key("duration", "The first pause.", "1s"),
    "cap": Key("duration", "The longest pause.", "60s"),
    "jitter": Key("share", "The share of a pause that is left to chance, from 0 to 1.", 0.1),
    "on": Key("names", "The error codes after which it is tried again. Without it: those that say it makes sense."),
}
POLICY: Keys = {
    "timeout_seconds": Key("seconds", "How long the agent may work.", 30),
    "max_files": Key("count", "How many files it may look at.", 10),
    "max_edits": Key("count", "How many edits it may make.", 5),
    "allowed_paths": Key("names", "Patterns of the paths it may touch.", ["**/*"]),
    "cmd_allowlist": Key("names", "The commands it may run; none when it is empty.", []),
}
CONCURRENCY: Keys = {
    "group": Key("text", "The group's name; an expression over `inputs` makes one group for each value."),
    "limit": Key("limit", "How many runs of the group may be active at a time.", 1),
    "cancel-in-progress": Key("flag", "A new run cancels those of its group before it, instead of waiting.", False),
}
INTEGRATION: Keys = {
    "type": Key("text", "The connector, such as `notification:slack`; all other keys are its parameters."),
    "events": Key("names", "The event types that it hears of."),
}
#: What a fallback or a compensation may have beside its parameters.
EXTRA: Keys = {name: STEP[name] for name in ("type", "description", "with", "parameters", "retry", "timeout", "context", "policy")}

#: Keys of a step that change what happens; who misspells one does not want a value of that name.
ACTING = ("depends_on", "parallel", "when", "retry", "timeout", "fallback", "on_failure", "compensate")
STRATEGIES = ("failure_strategy", "failureStrategy")
_INNER: Keys = {"steps": Key("steps", "The steps that belong to it.")}
_STRATEGY: Keys = {
    "failure_strategy": Key("strategy", "What it does when a step in it fails.", "abort"),
    "failureStrategy": Key("strategy", "The same as `failure_strategy`.", "abort"),
}
#: What the types that hold steps have of their own.
SCOPE_KEYS: Mapping[str, Keys] = {
    CONDITION: {
        "condition": Key("condition", "Decides which branch is taken."),
        "then": Key("steps", "The steps that are done when it holds."),
        "else": Key("steps", "The steps that are done when it does not."),
    },
    PARALLEL: {**_INNER, **_STRATEGY},
    FOREACH: {
        "items": Key("items", "A list, or an expression that gives one; its steps are done once for each item."),
        "concurrency": Key("limit", "How many items at a time. Without it: as many as the engine allows."),
        **_INNER,
        **_STRATEGY,
    },
    GROUP: {**_INNER, **_STRATEGY},
    COMPOSITE: {**_INNER, **_STRATEGY},
}
RESILIENT_KEYS: Keys = {"step": Key("inner-step", "The step that is made resilient; the outer one's keys win over its own.")}
