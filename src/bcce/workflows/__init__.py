"""The engine: durable workflows whose every state change is a row. Knows no domain."""
