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
    generated: dict[str, Any] = _plain(model.Scenario.model_json_schema(by_alias=True))
    definitions: dict[str, Any] = generated["$defs"]
    for each in model.STEP_MODELS.values():
        _verb_first(definitions[each.__name__], each.verb)
    _add_short_controls(definitions)
    step = {"oneOf": [{"$ref": f"#/$defs/{each.__name__}"} for each in model.STEP_MODELS.values()]}
    shared: dict[str, Any] = _shared(generated, step)
    shared["$defs"]["Step"] = step
    return {"$schema": _URI, **shared}


def render() -> str:
    """The schema as the text of a file."""
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"


def _plain(value: Any) -> Any:
    """Without what says nothing to an editor: titles made from names, null beside a type, defaults that are models."""
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    result = {key: _plain(entry) for key, entry in value.items() if not (key == "title" and isinstance(entry, str))}
    default = result.get("default")
    if isinstance(default, dict) or (isinstance(default, list) and default):
        del result["default"]
    elif result.get("default", "") is None:
        # An optional key: who leaves it out writes nothing, not null.
        del result["default"]
        forms = [form for form in result.pop("anyOf") if form != {"type": "null"}]
        form = forms[0] if len(forms) == 1 else {"anyOf": forms}
        result |= {key: entry for key, entry in form.items() if key not in result}
    return result


def _shared(value: Any, step: dict[str, Any]) -> Any:
    """The same with every spelled-out step replaced by a reference to one definition."""
    if isinstance(value, list):
        return [_shared(entry, step) for entry in value]
    if not isinstance(value, dict):
        return value
    if value.get("oneOf") == step["oneOf"]:
        return {"$ref": "#/$defs/Step"}
    return {key: _shared(entry, step) for key, entry in value.items()}


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
