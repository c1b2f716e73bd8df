"""A script flattened into what is judged: its commands with their words, redirects, variables and the flow between them."""

from dataclasses import dataclass, field

from bcce.safety.bash.words import Word


@dataclass(slots=True, eq=False)
class Redirect:
    """One redirect: `operator` such as `>` or `<<<`; `target` None for a heredoc, whose text is `body`.

    Lines and columns count from 1. `descriptor` is what stands in front of the operator. `is_expanded` says of a heredoc that the shell
    replaces variables in it.
    """

    operator: str
    target: Word | None
    line: int
    column: int
    body: str = ""
    is_expanded: bool = False
    descriptor: str = ""


@dataclass(slots=True, eq=False)
class Command:
    """One simple command. Lines and columns count from 1, `end_column` is exclusive.

    `inputs` are the commands whose output it reads, directly. `substitutions` are the commands in its words. `function` is the function
    that it stands in, `is_background` says that it is not waited for.
    """

    argv: tuple[Word, ...]
    redirects: tuple[Redirect, ...]
    assignments: tuple[tuple[str, Word], ...]
    line: int
    column: int
    end_line: int
    end_column: int
    raw: str
    function: str | None = None
    inputs: "tuple[Command, ...]" = ()
    substitutions: "tuple[Command, ...]" = ()


@dataclass(frozen=True, slots=True, eq=False)
class Assigned:
    """One place where a variable gets a value.

    `kind`: `set`, `append`, `array`, `each` (a loop's list), `number`, `read` (from the input of `command`),
    `outside` (by text that is run), `unknown`.
    """

    kind: str
    words: tuple[Word, ...] = ()
    in_loop: bool = False
    command: Command | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """A place that is not understood."""

    what: str
    line: int
    column: int
    text: str


@dataclass(slots=True, eq=False)
class Script:
    """Everything that is looked at."""

    text: str
    commands: list[Command] = field(default_factory=list)
    #: The commands of each command or process substitution, by its number.
    substitutions: list[tuple[Command, ...]] = field(default_factory=list)
    #: Names of the functions, with the commands of their bodies.
    functions: dict[str, list[Command]] = field(default_factory=dict)
    assigned: dict[str, list[Assigned]] = field(default_factory=dict)
    exported: set[str] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)
    #: Redirects of groups and loops, and those without a command.
    bare_redirects: list[Redirect] = field(default_factory=list)
    #: Variables that arithmetic reads: it would run a command that their value holds.
    computed: set[str] = field(default_factory=set)
