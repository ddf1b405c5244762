"""The forms' fields: the specs' own JSON schemas, narrowed to a technique or a method, with the recipe's values."""

from __future__ import annotations

from typing import Any

from tunelab.recipes import Recipe
from tunelab.spec import REINFORCEMENT, CustomizeSpec
from tunelab.spec.customize import LORA_ONLY
from tunelab.spec.evaluate import EndpointModel, EvaluateSpec
from tunelab.spec.hyperparameters import Hyperparameter, catalog, method_of
from tunelab.spec.rewards import OPTIONS, REQUIRED, FeedbackReward, FunctionReward, PresetReward

#: JSON's names of the catalog's types.
_TYPES = {
    "float": "number",
    "int": "integer",
    "bool": "boolean",
    "str": "string",
    "list": "array",
    "tuple": "array",
    "dict": "object",
    "null": "null",
}
_SECTIONS = ("adapter", "compute", "tracking")
#: What of an evaluation only some methods take.
_OF_METHOD = {
    "models": ("judge", "scorer", "benchmark"),
    "dataset": ("judge", "scorer", "meta"),
    "judge": ("judge", "meta"),
    "scorer": ("scorer",),
    "benchmark": ("benchmark",),
    "predictions": ("judge", "scorer"),
    "generation": ("judge", "scorer"),
}
_PARTS = ("judge", "scorer", "benchmark")
#: What a judge is asked for first; the rest is folded.
_FIRST_OF_JUDGE = ("model", "base_url", "metrics", "pairwise")


def form_schema(recipe: Recipe, algorithm: str | None = None, carries: bool = True) -> dict[str, Any]:
    """Return the JSON schema of a customize spec of the recipe's technique and adapter.

    ``default`` is what holds where nothing is said, and ``source`` where the recipe has it from; keys of a custom
    schema that validators pass over. References are resolved. Without `carries` there is no ``adapter.carry``, which
    says nothing of a model without an adapter.
    """
    whole = CustomizeSpec.model_json_schema()
    schema: dict[str, Any] = _resolved(whole, whole.get("$defs", {}))
    properties = schema["properties"]
    del properties["kind"], schema["$defs"]
    if recipe.technique in REINFORCEMENT:
        properties["reward"] = {"description": properties["reward"]["description"], "x-kinds": _rewards(recipe)}
    else:
        del properties["reward"], properties["algorithm"]
    for name in LORA_ONLY if not recipe.adapter else () if carries else ("carry",):
        del properties["adapter"]["properties"][name]
    properties["hyperparameters"] |= {
        "additionalProperties": False,
        "properties": {
            name: _hyperparameter(field, recipe)
            for name, field in catalog(method_of(recipe.technique, algorithm)).items()
        },
    }
    for name, setting in recipe.settings.items():
        # A recipe names hyperparameters without their section.
        path = name if "." in name or name in properties else f"hyperparameters.{name}"
        at = properties
        *sections, last = path.split(".")
        for section in sections:
            at = at[section]["properties"]
        if last in at:
            at[last] |= {"default": setting.value, "source": setting.source}
    return schema


def form_layout(schema: dict[str, Any], recipe: Recipe) -> list[dict[str, Any]]:
    """Return the groups of the form: what is required, the settings, the sections of the spec, and all the rest.

    A setting is what the recipe gives and has a range or choices for, or what the spec says of the rows before its
    first section; what is left is advanced.
    """
    required, rest = set(schema["required"]), list(schema["properties"])
    fields = schema["properties"]["hyperparameters"]["properties"]
    before = rest[: rest.index("adapter")]
    main = [name for name in before if name in required]
    usual = [
        f"hyperparameters.{name}"
        for name in fields
        if name in recipe.settings and ("minimum" in fields[name] or "enum" in fields[name])
    ]
    settings = [*usual, *(name for name in before if name not in required)]
    others = [f"hyperparameters.{name}" for name in fields if f"hyperparameters.{name}" not in usual]
    own = [name for name in rest if name not in (*before, *_SECTIONS, "hyperparameters", "reward", "algorithm")]
    groups = [
        {"name": "main", "fields": main},
        *([{"name": "reward", "fields": ["reward", "algorithm"]}] if "reward" in rest else []),
        {"name": "settings", "fields": settings},
        {"name": "adapter", "fields": _of(schema, "adapter")},
        {"name": "advanced", "fields": [*own, *_of(schema, "tracking"), *others]},
        {"name": "compute", "fields": _of(schema, "compute")},
    ]
    return groups


def _of(schema: dict[str, Any], section: str) -> list[str]:
    return [f"{section}.{name}" for name in schema["properties"][section]["properties"]]


def _hyperparameter(field: Hyperparameter, recipe: Recipe) -> dict[str, Any]:
    told: dict[str, Any] = {
        "type": [_TYPES[name] for name in field.types],
        "description": field.help,
        "default": field.default,
    }
    if field.choices:
        told["enum"] = list(field.choices)
    if bounds := recipe.ranges.get(field.name):
        told["minimum"], told["maximum"] = bounds
    return told


def preset_schemas() -> dict[str, Any]:
    """Return the schema of each preset of a reward, with its own options alone."""
    preset = _flat(PresetReward)
    return {
        name: {
            "properties": {
                key: value
                for key, value in preset["properties"].items()
                if key == "weight" or ("json_schema" if key == "schema" else key) in OPTIONS[name]
            },
            "required": list(REQUIRED.get(name, ())),
        }
        for name in preset["properties"]["preset"]["enum"]
    }


def _rewards(recipe: Recipe) -> dict[str, Any]:
    """Return the schemas of the kinds of reward that the technique takes: each preset with its own options."""
    function = _flat(FunctionReward)
    kinds = {"preset": preset_schemas(), "function": {**function, "required": []}}
    for key in ("source", "name"):
        del function["properties"][key]
    if recipe.technique == "rlaif":
        return {"feedback": _flat(FeedbackReward), **kinds}
    return kinds


def _flat(model: Any) -> dict[str, Any]:
    whole = model.model_json_schema()
    found: dict[str, Any] = _resolved(whole, whole.get("$defs", {}))
    return {"properties": found["properties"], "required": found.get("required", [])}


def _resolved(node: Any, definitions: dict[str, Any]) -> Any:
    """Return a schema with each reference in its place, and without the titles that pydantic makes of names."""
    if isinstance(node, list):
        return [_resolved(one, definitions) for one in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        target = definitions[node["$ref"].rpartition("/")[2]]
        return _resolved(target | {key: value for key, value in node.items() if key != "$ref"}, definitions)
    made = {}
    for key, value in node.items():
        if key == "title" and isinstance(value, str):
            continue
        if key == "properties":
            made[key] = {name: _resolved(told, definitions) for name, told in value.items()}
        elif key in ("default", "enum", "const", "required"):
            made[key] = value
        else:
            made[key] = _resolved(value, definitions)
    # A union with null is a field that may be left out; of one other kind the field is that kind.
    others = [one for one in made.get("anyOf", []) if one.get("type") != "null"]
    if len(others) == 1 and "anyOf" in made:
        del made["anyOf"]
        made = others[0] | made
    return made


def evaluate_schema(method: str) -> dict[str, Any]:
    """Return the JSON schema of an evaluate spec of one method, references resolved."""
    whole = EvaluateSpec.model_json_schema()
    schema: dict[str, Any] = _resolved(whole, whole.get("$defs", {}))
    properties = schema["properties"]
    del properties["kind"], schema["$defs"]
    for key, methods in _OF_METHOD.items():
        if method not in methods:
            properties.pop(key, None)
    if "models" in properties:
        endpoint = _flat(EndpointModel)
        properties["models"] = {"description": properties["models"]["description"], "x-endpoint": endpoint}
    if "scorer" in properties:
        kinds = {key: value for key, value in _scorers().items() if key != "feedback"}
        properties["scorer"] = {"description": properties["scorer"]["description"], "x-kinds": kinds}
    return schema


def evaluate_layout(schema: dict[str, Any], method: str) -> list[dict[str, Any]]:
    """Return the groups of the form: what is compared on what, what scores, how answers are made, and all the rest."""
    there = schema["properties"]
    main = [name for name in ("models", "dataset", "method") if name in there]
    scores = {"judge": _of(schema, "judge") if "judge" in there else []}
    scores["benchmark"] = _of(schema, "benchmark") if "benchmark" in there else []
    own = [name for name in there if name not in (*main, *_PARTS, "compute", "tracking", "generation")]
    sampled = _of(schema, "generation") if "generation" in there else []
    required = [name for name in scores["judge"] if name.rpartition(".")[2] in _FIRST_OF_JUDGE]
    groups = [
        {"name": "main", "fields": main},
        {"name": method, "fields": ["scorer"] if method == "scorer" else required or scores["benchmark"]},
        {"name": "judging", "fields": [name for name in scores["judge"] if name not in required]},
        {"name": "answers", "fields": sampled},
        {"name": "advanced", "fields": [*own, *_of(schema, "tracking")]},
        {"name": "compute", "fields": _of(schema, "compute")},
    ]
    return [group for group in groups if group["fields"]]


def _scorers() -> dict[str, Any]:
    """Return the schemas of what scores an answer without a model: presets with their options, and functions."""
    recipe = Recipe("rlvr", "", {}, {})
    return _rewards(recipe)
