"""Prints what pyproject.toml asks for, one requirement a line, so that pip installs it before the project itself."""

import tomllib
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
print("\n".join([*project["dependencies"], *project["optional-dependencies"]["dev"]]))
