"""The scenario language: models, loading with line and column, lint, JSON Schema.

Importing this package imports pydantic; commands that do not read scenarios leave it alone.
"""

from ossvol.scenario.loader import LoadedScenario, load, load_all, loads
from ossvol.scenario.model import Scenario

__all__ = ["LoadedScenario", "Scenario", "load", "load_all", "loads"]
