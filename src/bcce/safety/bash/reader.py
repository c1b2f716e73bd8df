"""From the parse tree to the script: what is not known here is a problem, never left out."""

import re

from tree_sitter import Node

from bcce.safety.bash.hidden import hides_in_default, hides_in_quoted_index
from bcce.safety.bash.parse import TooHard, has_joined_words, parse
from bcce.safety.bash.script import Assigned, Command, Problem, Redirect, Script
from bcce.safety.bash.words import Part, Word, read_parts, source

MAX_DEPTH = 60
MAX_COMMANDS = 2000
_SUBSTITUTIONS = ("command_substitution", "process_substitution")
#: Kinds of nodes that only hold statements; what is in none of these tables is not understood.
_CONTAINERS = frozenset(
    {
        *("program", "list", "if_statement", "elif_clause", "else_clause", "subshell", "compound_statement", "negated_command"),
        *("case_statement", "case_item", "do_group", "while_statement", "c_style_for_statement"),
    }
)
#: Kinds of nodes that only compute a value: nothing runs but the substitutions below them.
_VALUES = frozenset(
    {
        *("word", "string", "raw_string", "ansi_c_string", "translated_string", "concatenation", "number", "simple_expansion", "expansion"),
        *("variable_name", "special_variable_name", "comment", "test_operator", "unary_expression", "binary_expression", "regex"),
        *("parenthesized_expression", "ternary_expression", "postfix_expression", "arithmetic_expansion", "brace_expression", "subscript"),
        *("extglob_pattern", "test_command", "file_descriptor", "array", "command_name", "heredoc_redirect", "herestring_redirect"),
    }
)
_LOOPS = ("while_statement", "c_style_for_statement")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPTION = re.compile(r"\b[a-z]\w*\s+-[a-z]")
#: Commands within arithmetic, which are read on their own.
_SUBSTITUTED = re.compile(r"\$\([^()]*\)")
#: Rules follow what flows through a pipeline, for each of its commands.
_MAX_STAGES = 60
_WHOLLY_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|\\\w+")
_COUNTED = re.compile(
    r"(?<!\w)([A-Za-z_]\w*)\s{0,20}(?:[-+*/%&|^]|<<|>>)?=(?!=)|(?<!\w)([A-Za-z_]\w*)(?:\+\+|--)|(?:\+\+|--)([A-Za-z_]\w*)"
)
#: Where bash evaluates what a variable holds, and so runs a command in the index of an array that stands there. Looked for in the text,
#: because the grammar has no node for each of them. Source: bash(1), ARITHMETIC EVALUATION, Arrays, Substring Expansion.
_ARITHMETIC = re.compile(
    r"\(\((?:[^)]|\)(?!\))){0,500}\)\)|\$\[[^\]]{0,200}\]|\$\{[#!]?\w{1,99}\[[^\]]{0,200}\]|\$\{\w{1,99}:(?![-=+?])[^}]{0,200}\}"
    r"|\b\w{1,99}\[[^\]]{0,200}\]\+?=|\blet[ \t][^;\n&|]{0,200}"
)


def read_script(text: str) -> Script:
    """The script as data; never raises."""
    script = Script(text=text)
    try:
        tree = parse(text)
    except TooHard as error:
        script.problems.append(Problem(f"the script cannot be judged: {error}", 1, 1, ""))
        return script
    if has_joined_words(text):
        script.problems.append(Problem("a word goes on over the end of a line", 1, 1, ""))
    for match in _ARITHMETIC.finditer(text):
        script.computed.update(_NAME.findall(match[0]))
    _Reader(script).statements(tree.root_node, 0)
    return script


class _Reader:
    def __init__(self, script: Script) -> None:
        self._script = script
        self._function: str | None = None
        self._loops = 0
        self._is_over = False

    def statements(self, node: Node, depth: int) -> list[Command]:
        """The commands of one statement, recorded in the script as they are met."""
        kind = node.type
        if self._is_over or depth > MAX_DEPTH or len(self._script.commands) > MAX_COMMANDS:
            if not self._is_over:
                self._is_over = True
                self._problem("the script is nested too deeply or has too many commands", node)
            return []
        if node.is_error or node.is_missing:
            self._problem("the parser does not understand this", node)
            if len(self._script.problems) > 50:
                self._is_over = True
        elif kind == "command":
            return [self._command(node, (), depth)]
        elif kind == "pipeline":
            return self._pipeline(node, depth)
        elif kind == "redirected_statement":
            return self._redirected(node, depth)
        elif kind == "file_redirect" and node.parent is not None and node.parent.type == "command_substitution":
            return [self._command(node, (), depth)]
        elif kind in ("variable_assignment", "variable_assignments"):
            return self._assignments(node, depth)
        elif kind in ("declaration_command", "unset_command"):
            return [self._declaration(node, depth)]
        elif kind == "function_definition":
            return self._definition(node, depth)
        elif kind == "for_statement":
            return self._for(node, depth)
        elif kind == "test_command" or (kind == "compound_statement" and node.child_count and node.children[0].type == "(("):
            return self._computation(node, depth)
        elif kind in _SUBSTITUTIONS or (node.is_named and kind not in _CONTAINERS and kind not in _VALUES):
            self._problem(f"a construct that is not understood ({kind})", node)
        elif kind == "c_style_for_statement":
            self._count(source(node).partition("))")[0])
        self._loops += kind in _LOOPS
        found = [command for child in node.children if child.is_named or child.is_missing for command in self._child(child, depth + 1)]
        self._loops -= kind in _LOOPS
        return found

    def _child(self, node: Node, depth: int) -> list[Command]:
        """A statement, or the substitutions of a value that stands where statements do."""
        if node.type in _SUBSTITUTIONS or (node.type in _VALUES and node.type != "test_command"):
            return self._inside(node, depth)
        return self.statements(node, depth)

    def _pipeline(self, node: Node, depth: int) -> list[Command]:
        everything: list[Command] = []
        before: list[Command] = []
        if node.named_child_count > _MAX_STAGES:
            self._problem(f"a pipeline of more than {_MAX_STAGES} commands", node)
            return everything
        for child in node.named_children:
            if child.type == "comment":
                continue
            stage = self.statements(child, depth + 1)
            if before:
                for command in stage:
                    command.inputs = (*command.inputs, *before)
            everything += stage
            before = stage or before
        return everything

    def _redirected(self, node: Node, depth: int) -> list[Command]:
        body = node.child_by_field_name("body")
        redirects: list[Redirect] = []
        more: list[Word] = []
        feeders: list[Command] = []
        after: list[Command] = []
        for child in node.children:
            if child.type.endswith("redirect"):
                self._redirect(child, depth, redirects, more, feeders, after)
            elif child != body and (child.is_named or child.is_missing) and child.type != "comment":
                self._problem("the parser does not understand this", child)
        if body is not None and body.type == "command":
            found = [self._command(body, tuple(redirects), depth, tuple(more))]
        else:
            if more:
                self._problem("a word after a redirect", node)
            self._script.bare_redirects.extend(redirects)
            found = self.statements(body, depth + 1) if body is not None else []
        if feeders:
            for command in found:
                command.inputs = (*command.inputs, *feeders)
        for command in after:
            if not command.inputs:
                command.inputs = tuple(found)
        return found + after

    def _redirect(
        self, node: Node, depth: int, redirects: list[Redirect], more: list[Word], feeders: list[Command], after: list[Command]
    ) -> None:
        """Records a redirect; words behind its target are arguments of the command, and a heredoc's line may go on with a pipe."""
        line, column = node.start_point[0] + 1, node.start_point[1] + 1
        if node.type == "heredoc_redirect":
            self._heredoc(node, depth, redirects, more, feeders, after)
            return
        operator = next((source(child) for child in node.children if not child.is_named and child.type[0] in "<>&"), ">")
        first = len(self._script.commands)
        if node.has_error:
            self._problem("the parser does not understand this redirect", node)
        words = [self._word(child, depth) for child in node.named_children if child.type != "file_descriptor" and not child.is_error]
        if any(child.type == "process_substitution" for child in node.named_children):
            feeders.extend(self._script.commands[first:])
        if node.type == "herestring_redirect":
            operator = "<<<"
            feeders.extend(self._script.commands[first:])
        descriptor = next((source(child) for child in node.named_children if child.type == "file_descriptor"), "")
        redirects.append(Redirect(operator, words[0] if words else None, line, column, descriptor=descriptor))
        more.extend(words[1:])

    def _heredoc(
        self, node: Node, depth: int, redirects: list[Redirect], more: list[Word], feeders: list[Command], after: list[Command]
    ) -> None:
        start = next((source(child) for child in node.children if child.type == "heredoc_start"), "")
        is_expanded = not any(mark in start for mark in "'\"\\")
        if not is_expanded and not _WHOLLY_QUOTED.fullmatch(start):
            self._problem("a heredoc whose end is partly quoted", node)
        body = "".join(source(child) for child in node.children if child.type == "heredoc_body")
        if is_expanded and "`" in body:
            # The grammar does not see backquotes in it.
            self._problem("a backquoted command in a heredoc", node)
        redirects.append(Redirect("<<", None, node.start_point[0] + 1, node.start_point[1] + 1, body=body, is_expanded=is_expanded))
        for child in node.children:
            if child.type.endswith("redirect"):
                self._redirect(child, depth + 1, redirects, more, feeders, after)
            elif child.type == "heredoc_body":
                if is_expanded:
                    self._inside(child, depth)
            elif child.is_error or child.is_missing:
                self._problem("the parser does not understand this heredoc", child)
            elif child.type in ("pipeline", "command", "redirected_statement"):
                after.extend(self.statements(child, depth + 1))
            elif child.is_named and child.type in _VALUES and child.type != "file_descriptor":
                more.append(self._word(child, depth))
            elif child.is_named and child.type not in ("heredoc_start", "heredoc_end", "file_descriptor"):
                self._problem("a command on the line of a heredoc", child)
                self.statements(child, depth + 1)

    def _command(self, node: Node, outer: tuple[Redirect, ...], depth: int, more: tuple[Word, ...] = ()) -> Command:
        words: list[Word] = []
        redirects: list[Redirect] = []
        assignments: list[tuple[str, Word]] = []
        feeders: list[Command] = []
        after: list[Command] = []
        first = len(self._script.commands)
        children = node.children
        if node.type == "file_redirect":
            # `$(< file)` is `$(cat < file)`. Source: bash(1), Command Substitution.
            words.append(Word((Part("literal", "cat", False),), "cat", self._function))
            children = [node]
        for child in children:
            if child.is_error or child.is_missing or child.type == "comment":
                # A comment ends a command; what the grammar joins to it behind one is another.
                self._problem("the parser does not understand this", child)
            elif child.type == "variable_assignment":
                assignments.append(self._assignment(child, depth, is_prefix=True))
            elif child.type.endswith("redirect"):
                extra: list[Word] = []
                self._redirect(child, depth, redirects, extra, feeders, after)
                words.extend(extra)
            elif child.is_named or child.type != "$":
                words.append(self._word(child, depth))
        inside = self._script.commands[first:]
        words.extend(more)
        start, end = node.start_point, node.end_point
        command = Command(
            argv=tuple(words),
            redirects=(*redirects, *outer),
            assignments=tuple(assignments),
            line=start[0] + 1,
            column=start[1] + 1,
            end_line=end[0] + 1,
            end_column=end[1] + 1,
            raw=source(node)[:500],
            function=self._function,
            inputs=tuple(feeders),
            substitutions=tuple(inside),
        )
        self._record(command)
        return command

    def _record(self, command: Command) -> None:
        self._script.commands.append(command)
        if self._function is not None:
            self._script.functions[self._function].append(command)

    def _word(self, node: Node, depth: int) -> Word:
        if node.has_error:
            self._problem("the parser does not understand this", node)
        text = source(node)
        if '"' in text and hides_in_default(text):
            self._problem("a command in quotes that are no quotes inside others", node)
        return Word(read_parts(node, lambda inner: self._substitution(inner, depth)), source(node), self._function)

    def _substitution(self, node: Node, depth: int) -> int:
        """Reads `$( )`, backquotes or `<( )` and gives its number."""
        found = tuple(command for child in node.children if child.is_named for command in self._child(child, depth + 1))
        if "\\`" in source(node) and source(node).startswith("`"):
            self._problem("backquotes within backquotes", node)
        if node.has_error:
            self._problem("the parser does not understand this", node)
        self._script.substitutions.append(found)
        return len(self._script.substitutions) - 1

    def _inside(self, node: Node, depth: int) -> list[Command]:
        """The commands of the substitutions anywhere below `node`."""
        found: list[Command] = []
        stack = [node]
        while stack:
            current = stack.pop()
            if current.is_error or current.is_missing:
                self._problem("the parser does not understand this", current)
            if current.type in _SUBSTITUTIONS:
                found.extend(self._script.substitutions[self._substitution(current, depth)])
            else:
                stack.extend(reversed(current.children))
        return found

    def _computation(self, node: Node, depth: int) -> list[Command]:
        """`[[ ]]` and `(( ))`: only substitutions run, but arithmetic also runs what the value of a variable says."""
        text = source(node)
        # `[` only takes numbers; `[[` and `((` evaluate, and so does `-v` in both.
        is_evaluated = node.type == "compound_statement" or (
            text.startswith("[[") and any(mark in text for mark in ("-eq", "-ne", "-lt", "-le", "-gt", "-ge"))
        )
        if is_evaluated or "-v " in text:
            self._script.computed.update(_NAME.findall(text))
        if hides_in_quoted_index(text):
            self._problem("a command is hidden in the index of an array", node)
        if text.startswith("((") and _OPTION.search(_SUBSTITUTED.sub("", text)):
            self._problem("arithmetic that reads like a command", node)
        if text.startswith("(("):
            self._count(text)
        return self._inside(node, depth)

    def _count(self, text: str) -> None:
        """Records what arithmetic assigns."""
        for match in _COUNTED.finditer(text):
            self._assign(match[1] or match[2] or match[3], Assigned("number"))

    def _assignments(self, node: Node, depth: int) -> list[Command]:
        first = len(self._script.commands)
        for child in [node] if node.type == "variable_assignment" else node.named_children:
            self._assignment(child, depth)
        return self._script.commands[first:]

    def _assignment(self, node: Node, depth: int, *, is_prefix: bool = False) -> tuple[str, Word]:
        name, value = node.child_by_field_name("name"), node.child_by_field_name("value")
        if node.has_error:
            self._problem("the parser does not understand this", node)
        if name is not None and name.type == "subscript":
            self._inside(name, depth)
            inner = name.child_by_field_name("name")
            word = self._word(value, depth) if value is not None else Word((), "")
            self._assign(source(inner) if inner is not None else "?", Assigned("array", (word,), True))
            return source(name), word
        key = source(name) if name is not None else "?"
        operator = next((source(child) for child in node.children if not child.is_named), "=")
        if value is not None and value.type == "array":
            words = tuple(self._word(child, depth) for child in value.named_children if child.type != "comment")
            self._assign(key, Assigned("array", words, operator == "+=" and self._loops > 0))
            return key, Word((Part("unknown", ""),), source(value), self._function)
        word = self._word(value, depth) if value is not None else Word((Part("literal", "", True),), "", self._function)
        if not is_prefix:
            self._assign(key, Assigned("append" if operator == "+=" else "set", (word,), self._loops > 0))
        return key, word

    def _assign(self, name: str, assigned: Assigned) -> None:
        self._script.assigned.setdefault(name, []).append(assigned)

    def _declaration(self, node: Node, depth: int) -> Command:
        """`export`, `declare`, `local`, `readonly`, `typeset` and `unset` as a command with its words."""
        keyword = source(node.children[0])
        words = [Word((Part("literal", keyword),), keyword, self._function)]
        assignments: list[tuple[str, Word]] = []
        first = len(self._script.commands)
        for child in node.children[1:]:
            if child.is_error or child.is_missing or child.type == "comment":
                self._problem("the parser does not understand this", child)
            elif child.type == "variable_assignment":
                assignments.append(self._assignment(child, depth))
            else:
                words.append(self._word(child, depth))
        names = {name for name, _ in assignments} | {word.raw for word in words[1:] if _NAME.fullmatch(word.raw)}
        if keyword == "export" or any(word.raw.startswith("-") and "x" in word.raw for word in words):
            self._script.exported.update(names)
        if any(word.raw.startswith("-") and "n" in word.raw for word in words[1:]) and keyword in ("declare", "local", "typeset"):
            for name in names:
                self._assign(name, Assigned("unknown"))
        start, end = node.start_point, node.end_point
        command = Command(
            argv=tuple(words),
            redirects=(),
            assignments=tuple(assignments),
            line=start[0] + 1,
            column=start[1] + 1,
            end_line=end[0] + 1,
            end_column=end[1] + 1,
            raw=source(node)[:500],
            function=self._function,
            substitutions=tuple(self._script.commands[first:]),
        )
        self._record(command)
        return command

    def _definition(self, node: Node, depth: int) -> list[Command]:
        """A function: its body is judged whether it is called or not."""
        name = node.child_by_field_name("name")
        key = source(name) if name is not None else "?"
        self._script.functions.setdefault(key, [])
        outer, self._function = self._function, key
        for child in node.named_children:
            if child != name:
                if child.type.endswith("redirect"):
                    self._redirect(child, depth, self._script.bare_redirects, [], [], [])
                else:
                    self.statements(child, depth + 1)
        self._function = outer
        return []

    def _for(self, node: Node, depth: int) -> list[Command]:
        """`for` and `select`: what the variable may be, and the body."""
        variable, body = node.child_by_field_name("variable"), node.child_by_field_name("body")
        if variable is None or body is None:
            self._problem("the parser does not understand this", node)
        words = tuple(self._word(value, depth) for value in node.children_by_field_name("value"))
        is_select = source(node).startswith("select")
        if variable is not None:
            self._assign(source(variable), Assigned("each", words) if words and not is_select else Assigned("unknown"))
        self._loops += 1
        found = self.statements(body, depth + 1) if body is not None else []
        self._loops -= 1
        for child in node.children:
            if child.is_error or child.is_missing:
                self._problem("the parser does not understand this", child)
        return found

    def _problem(self, what: str, node: Node) -> None:
        self._script.problems.append(Problem(what, node.start_point[0] + 1, node.start_point[1] + 1, source(node)[:200]))
