"""Step types that need nothing but the engine, one per file."""
