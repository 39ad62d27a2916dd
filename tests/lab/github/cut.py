"""Cuts GitHub's own description of its API down to the operations in a list, as JSON Schema of draft 4.

    cut.py PATHS DIRECTORY OUTPUT

DIRECTORY holds the package's `generated/*.json`. What is not in the list is not in the output, so that a request for it is a failure. Three things
are translated: `nullable` of OpenAPI 3.0 has a name in JSON Schema; references to parameters and answers are put where they are used; and an object
that lists its properties has no others, unless it is a part of an `allOf`: GitHub's text leaves that open, and a check of ours that did would let
every slip of the pen pass.
"""

import json
import sys

KEPT = {
    "type", "enum", "items", "properties", "required", "additionalProperties", "allOf", "anyOf", "oneOf", "not", "format", "pattern",
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength", "minItems", "maxItems", "uniqueItems", "multipleOf",
    "minProperties", "maxProperties",
}


class Cut:
    def __init__(self, document, prefix):
        self.document, self.prefix, self.schemas, self.wanted = document, prefix, {}, []

    def resolve(self, part):
        while "$ref" in part:
            kind, name = part["$ref"].split("/")[-2:]
            part = self.document["components"][kind][name]
        return part

    def schema(self, given, open_ended=False):
        if "$ref" in given:
            name = given["$ref"].split("/")[-1]
            self.wanted.append(name)
            return {"$ref": "#/components/schemas/" + self.prefix + name}
        made = {}
        for key, value in given.items():
            if key not in KEPT:
                continue
            if key == "properties":
                made[key] = {name: self.schema(part) for name, part in value.items()}
            elif key in ("items", "not") or (key == "additionalProperties" and isinstance(value, dict)):
                made[key] = self.schema(value)
            elif key in ("allOf", "anyOf", "oneOf"):
                made[key] = [self.schema(part, key == "allOf") for part in value]
            else:
                made[key] = value
        if "properties" in made and "additionalProperties" not in made and not open_ended and "allOf" not in made:
            made["additionalProperties"] = False
        if given.get("nullable"):
            if "enum" in made and None not in made["enum"]:
                made["enum"] = made["enum"] + [None]
            if isinstance(made.get("type"), str):
                made["type"] = [made["type"], "null"]
            elif "type" not in made:
                made = {"anyOf": [made, {"type": "null"}]}
        return made

    def content(self, part):
        schema = part.get("content", {}).get("application/json", {}).get("schema")
        return None if schema is None else self.schema(schema)

    def operation(self, path, method):
        item = self.document["paths"][path]
        operation = item[method]
        parameters = [self.resolve(one) for one in item.get("parameters", []) + operation.get("parameters", [])]
        body = self.resolve(operation["requestBody"]) if "requestBody" in operation else None
        return {
            "query": {one["name"]: self.schema(one["schema"]) for one in parameters if one["in"] == "query"},
            "body": body and self.content(body),
            "body_required": bool(body and body.get("required")),
            "answers": {status: self.content(self.resolve(answer)) for status, answer in operation["responses"].items()},
        }

    def components(self):
        for name in ("basic-error", "validation-error", "validation-error-simple"):
            self.wanted.append(name)
        while self.wanted:
            name = self.wanted.pop()
            if self.prefix + name not in self.schemas:
                self.schemas[self.prefix + name] = {}
                self.schemas[self.prefix + name] = self.schema(self.document["components"]["schemas"][name])
        return self.schemas


def main(paths, directory, output):
    cuts, found = {}, {}
    for line in open(paths, encoding="utf-8"):
        words = line.split()
        if not words or words[0] == "#":
            continue
        source = words[2] if len(words) > 2 else "api.github.com"
        if source not in cuts:
            with open(f"{directory}/{source}.json", encoding="utf-8") as text:
                cuts[source] = Cut(json.load(text), "" if source == "api.github.com" else source + "-")
        found.setdefault(words[1], {})[words[0]] = cuts[source].operation(words[1], words[0].lower())
    schemas = {}
    for cut in cuts.values():
        schemas.update(cut.components())
    with open(output, "w", encoding="utf-8") as text:
        json.dump({"paths": found, "components": {"schemas": schemas}}, text)


main(*sys.argv[1:])
