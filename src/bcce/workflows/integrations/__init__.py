"""Events of runs for connectors: who wants which, what was delivered, what was given up."""
