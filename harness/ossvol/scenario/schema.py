"""The JSON Schema of scenario files, for editors: generated from the models, never written by hand.

Pure; any thread.
"""

from __future__ import annotations

import copy
import json
from typing import Any

from ossvol.scenario import model

__all__ = ["render", "schema"]

_URI = "https://json-schema.org/draft/2020-12/schema"


def schema() -> dict[str, Any]:
    """JSON Schema, draft 2020-12."""
    generated = model.Scenario.model_json_schema(by_alias=True)
    definitions: dict[str, Any] = generated["$defs"]
    for each in model.STEP_MODELS.values():
        _verb_first(definitions[each.__name__], each.verb)
    _add_short_controls(definitions)
    return {"$schema": _URI, **generated}


def render() -> str:
    """The schema as the text of a file."""
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"


def _verb_first(definition: dict[str, Any], verb: str) -> None:
    """Editors complete keys in this order, and the verb is what a step begins with."""
    properties: dict[str, Any] = definition["properties"]
    definition["properties"] = {verb: properties.pop(verb), **properties}


def _add_short_controls(definitions: dict[str, Any]) -> None:
    """A control may also be one step with `then` beside it; the loader brings that into the long form."""
    control = definitions["Control"]
    title, then = control["properties"]["title"], control["properties"]["then"]
    forms = [control]
    for each in model.STEP_MODELS.values():
        short = copy.deepcopy(definitions[each.__name__])
        short["properties"] |= {"title": title, "then": then}
        short["required"] = [*short["required"], "then"]
        short.pop("title", None)
        forms.append(short)
    definitions["Control"] = {"anyOf": forms, "description": control.get("description", "")}
