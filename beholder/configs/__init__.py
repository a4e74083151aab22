"""Configuration: YAML presets and key=value overrides into frozen dataclasses, strictly."""
