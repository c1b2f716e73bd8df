"""PowerShell as data: parsed, resolved and looked at, never run."""
