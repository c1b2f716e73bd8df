"""Configuration: layers of files and environment variables become one typed, checked value. Knows no domain.

Import from the modules; the package itself re-exports nothing, so that looking at the environment does not load Pydantic and a YAML parser.
`load` reads, `core` and `model` are what settings are made of, `fields` are kinds of settings, `environ` is the process's environment,
`document` reads YAML and JSON with line numbers, `template` writes the commented file and the reference.
"""
