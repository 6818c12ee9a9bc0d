"""Examples in the OpenAPI document, made of the schemas themselves, so that none can go stale."""

from collections.abc import Mapping
from typing import Any, Final

Schema = dict[str, Any]

AN_ID: Final = "7b7c4f1e-3f60-4b5e-9a51-0b3f5a2f9a10"
BY_NAME: Final[Mapping[str, Any]] = {
    "compressor_id": "COMP-003",
    "detail": "there is no such thing here",
    "email": "somebody@altaviz.example",
    "field": "limit",
    "health_reasons": ["24 h vibration is above its limit"],
    "horsepower": 1480,
    "instance": "/api/compressors/{compressor_id}",
    "key": "altaviz_key_shown-this-once",
    "latitude": 28.9144,
    "longitude": -98.5242,
    "message": "Input should be less than or equal to 200",
    "model": "Ariel JGK/4",
    "name": "Gateway at Karnes City",
    "next": None,
    "organization_name": "Karnes Gas Gathering",
    "organizationName": "Karnes Gas Gathering",
    "prefix": "altaviz_key_Ab3dEf",
    "slug": "karnes-1f2e3d4c",
    "station_id": "STATION-A",
    "station_name": "Eagle Ford Station A",
    "timezone": "America/Chicago",
    "title": "Not Found",
    "token": "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.signature",
    "type": "about:blank",
}
"""What a field of this name may say, where its type allows it and its schema has no example of its own."""
BY_FORMAT: Final[Mapping[str, Any]] = {"date-time": "2026-01-12T08:00:00Z", "date": "2019-06-30", "uuid": AN_ID}
BY_TYPE: Final[Mapping[str, Any]] = {"string": "text", "integer": 1, "number": 1.5, "boolean": False, "null": None}


def example(schema: Schema, components: Mapping[str, Schema], *, name: str = "") -> Any:  # noqa: ANN401 - JSON
    """Return a value that the schema of a request or an answer describes.

    Args:
        schema: as the document has it.
        components: the document's schemas by name.
        name: of the field that has this schema.
    """
    if "$ref" in schema and not schema.get("examples"):
        return example(components[schema["$ref"].rpartition("/")[2]], components, name=name)
    told = [*schema.get("examples", []), *schema.get("enum", [])]
    if told or "const" in schema:
        return told[0] if told else schema["const"]
    if "anyOf" in schema:
        return None if name in BY_NAME and BY_NAME[name] is None else example(schema["anyOf"][0], components, name=name)
    if schema.get("type") == "object":
        return _object(schema, components)
    if schema.get("type") == "array" and name not in BY_NAME:
        return [example(schema["items"], components)]
    return _plain(schema, name)


def _object(schema: Schema, components: Mapping[str, Schema]) -> Schema:
    fields: Mapping[str, Schema] = schema.get("properties", {})
    made = {name: example(each, components, name=name) for name, each in fields.items()}
    if isinstance(schema.get("additionalProperties"), dict):
        key = example(schema.get("propertyNames", {"type": "string"}), components)
        made[key] = example(schema["additionalProperties"], components)
    return made


def _plain(schema: Schema, name: str) -> Any:  # noqa: ANN401 - JSON
    if name in BY_NAME and schema.get("type") in {_type(BY_NAME[name]), None}:
        return BY_NAME[name]
    if schema.get("default") is not None:
        return schema["default"]
    if schema.get("format") in BY_FORMAT:
        return BY_FORMAT[schema["format"]]
    value = BY_TYPE.get(schema.get("type", ""))
    return max(value, schema["minimum"]) if "minimum" in schema else value


def _type(value: object) -> str:
    kinds: dict[type, str] = {str: "string", int: "integer", float: "number", list: "array", type(None): "null"}
    return kinds[type(value)]
