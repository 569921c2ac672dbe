"""Writes what several operations share once, as components of the document: responses, headers, parameters, bodies.

The document of a hundred entities is a fifth as long, and each generator still has every name and type.
"""

import json
import re
from typing import Any

UNFIT = re.compile(r"[^A-Za-z0-9._-]")
Operation = dict[str, Any]


def share_components(document: dict[str, Any]) -> None:
    """Move equal responses, parameters, headers and files of several operations into `components`.

    Each response has headers already.
    """
    operations = [operation for item in document["paths"].values() for operation in item.values()]
    _share_parameters(operations, _Shared("parameters", document["components"]))
    _share_files(operations, _Shared("requestBodies", document["components"]))
    _share_headers(operations, _Shared("headers", document["components"]))
    _share_responses(operations, _Shared("responses", document["components"]))


def _share_parameters(operations: list[Operation], shared: "_Shared") -> None:
    for operation in operations:
        for parameter in operation.get("parameters", ()):
            shared.count(parameter)
    for operation in operations:
        if "parameters" in operation:
            operation["parameters"] = [shared.reference(p["name"], p) for p in operation["parameters"]]


def _share_files(operations: list[Operation], shared: "_Shared") -> None:
    """Share the bodies with a description. The others refer to a schema, and are as short as a reference."""
    with_file = [operation for operation in operations if "description" in operation.get("requestBody", {})]
    for operation in with_file:
        shared.count(operation["requestBody"])
    for operation in with_file:
        operation["requestBody"] = shared.reference("File", operation["requestBody"])


def _share_headers(operations: list[Operation], shared: "_Shared") -> None:
    responses = [response for operation in operations for response in operation["responses"].values()]
    for response in responses:
        for header in response["headers"].values():
            shared.count(header)
    for response in responses:
        response["headers"] = {name: shared.reference(name, header) for name, header in response["headers"].items()}


def _share_responses(operations: list[Operation], shared: "_Shared") -> None:
    for operation in operations:
        for response in operation["responses"].values():
            shared.count(response)
    for operation in operations:
        operation["responses"] = {
            status: shared.reference(_name(status, response), response)
            for status, response in operation["responses"].items()
        }


def _name(status: str, response: Any) -> str:
    """Return the name of a response: that of its schema, such as `BookPublic`, or its status.

    An entity has a hundred references to errors, so their names are short.
    """
    schemas = [content["schema"].get("$ref", "") for content in response.get("content", {}).values()]
    if status < "4" and any(schemas):
        return str(schemas[0]).rpartition("/")[2]
    return status


class _Shared:
    """The components of one kind. Those that only one operation uses stay where they are."""

    def __init__(self, kind: str, components: dict[str, Any]) -> None:
        self._kind, self._components = kind, components
        # Entities have the same objects often, which are written once. The objects are kept, so no id is reused.
        self._texts: dict[int, tuple[str, Any]] = {}
        self._uses: dict[str, int] = {}
        self._references: dict[str, dict[str, str]] = {}

    def count(self, described: Any) -> None:
        """Record one use."""
        text = self._text(described)
        self._uses[text] = self._uses.get(text, 0) + 1

    def _text(self, described: Any) -> str:
        found = self._texts.get(id(described))
        if found is None:
            found = self._texts[id(described)] = json.dumps(described), described
        return found[0]

    def reference(self, name: str, described: Any) -> Any:
        """Return a reference to the component, named by `name` or, if that is taken, by it and a number."""
        text = self._text(described)
        if self._uses[text] == 1 or "$ref" in described:
            return described
        if text not in self._references:
            components = self._components.setdefault(self._kind, {})
            fit = UNFIT.sub("_", name)
            key, number = fit, 2
            while key in components:
                key, number = f"{fit}_{number}", number + 1
            components[key] = described
            self._references[text] = {"$ref": f"#/components/{self._kind}/{key}"}
        return self._references[text]
