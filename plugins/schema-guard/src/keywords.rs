//! Owns which keywords there are: those that are kept to, those that are notes, and the words for all others.
//! Leaves what each means to `compile`.

/// Keywords that `compile` makes rules of, here or with others.
pub(crate) const KEPT: [&str; 31] = [
    "$ref",
    "additionalProperties",
    "allOf",
    "anyOf",
    "const",
    "else",
    "enum",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "if",
    "items",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "not",
    "oneOf",
    "pattern",
    "patternProperties",
    "prefixItems",
    "properties",
    "propertyNames",
    "required",
    "then",
    "type",
    "uniqueItems",
];

/// Keywords that say nothing about a value.
pub(crate) const NOTES: [&str; 8] = ["$comment", "default", "deprecated", "description", "examples", "readOnly", "title", "writeOnly"];

/// Keywords that stand at the top only.
pub(crate) const TOP: [&str; 4] = ["$defs", "$id", "$schema", "definitions"];

/// What is wrong with a keyword, if anything is.
pub(crate) fn complaint(keyword: &str, at_top: bool) -> Option<String> {
    if TOP.contains(&keyword) {
        return (!at_top).then(|| format!("keyword '{keyword}' is supported at the top of a schema only"));
    }
    let known = KEPT.contains(&keyword) || NOTES.contains(&keyword);
    let hint = match keyword {
        "format" => "; a `pattern` can say it",
        "contains" | "dependentRequired" | "unevaluatedProperties" => "; say it with `allOf`, `anyOf`, `if` or `not`",
        _ => "",
    };
    (!known).then(|| format!("keyword '{keyword}' is not supported{hint}"))
}
