"""The operator's choices: TOML, environment and keyword arguments, to frozen `Settings`, or to every fault at once."""

from sluicegate.settings.reading import from_mapping, load
from sluicegate.settings.reference import json_schema, reference
from sluicegate.settings.schema import Settings, Warning_

__all__ = ["Settings", "Warning_", "from_mapping", "json_schema", "load", "reference"]
