"""Places that break a rule for a reason; an entry that is no longer needed fails the check."""

#: (rule, module relative to the package) -> why it is right there.
EXEMPTIONS: dict[tuple[str, str], str] = {
    (
        "select-outside-repository",
        "plugins/registry.py",
    ): "It chooses among entry points of installed packages, not rows.",
    ("process-outside-executor", "bench/startup.py"): "Measures how long this same interpreter takes for a constant command line.",
    ("process-outside-executor", "demo/child.py"): "The demonstration's child process: runs the module of our own that its parent names.",
    ("process-outside-executor", "demo/patient.py"): "The demonstration's patient: this same interpreter with a module of our own.",
    ("process-outside-executor", "demo/processes.py"): "The demonstration's own processes: this same interpreter with modules of our own.",
    ("process-outside-executor", "execution/executors/local.py"): (
        "The local executor is one of the doors: its command line is the constant marker wrapper, a script reaches it on standard input "
        "only after its Clearance was verified."
    ),
    ("process-outside-executor", "safety/bash/opinion.py"): (
        "The second parser is a program: its command line is constant, the script that it parses is only its input, and it runs nothing."
    ),
    ("process-outside-executor", "workflows/sandbox.py"): (
        "The sandbox for script steps: its command line is constant, the program stands in a registered workflow file, where no text from "
        "outside can get into it, and it has no network, no files and no processes of its own; without the sandbox nothing is started."
    ),
}
