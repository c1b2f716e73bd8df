"""Reading a policy file."""

from importlib.resources import as_file, files
from pathlib import Path

from bcce.config.load import Sources, load
from bcce.safety.policy.model import ScriptPolicy


def load_policy(path: Path | None = None) -> ScriptPolicy:
    """The policy in a YAML or JSON file; None gives the one that BCCE has without any.

    Raises:
        InvalidConfig: the file cannot be read or used; one error with every problem, each with its line and column.
    """
    if path is not None:
        return load(ScriptPolicy, Sources(path=path)).settings
    with as_file(files("bcce.safety.policy").joinpath("default.yaml")) as default:
        return load(ScriptPolicy, Sources(path=default)).settings
