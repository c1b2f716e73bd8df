"""The HTTP API: one file per noun, errors as problem+json."""
