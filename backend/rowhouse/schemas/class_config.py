"""`model_config` of a table class: the options that the derived schemas take over, and those that they cannot.

Each option of pydantic is in one of three lists. An option in none of them, such as a new one, is refused.
"""

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict

# Taken over by the schemas of requests.
HONOURED = (
    "str_strip_whitespace",
    "str_to_lower",
    "str_to_upper",
    "str_min_length",
    "str_max_length",
    "regex_engine",
    "regex_timeout",
    "cache_strings",
    "hide_input_in_errors",
)
# No response depends on them.
HARMLESS = frozenset(
    {
        "arbitrary_types_allowed", "defer_build", "from_attributes", "ignored_types", "plugin_settings",
        "protected_namespaces", "read_from_attributes", "read_with_orm_mode", "registry", "revalidate_instances",
        "table", "title", "use_attribute_docstrings", "use_enum_values", "validate_assignment", "validate_default",
        "validate_return", "validation_error_cause", "experimental_defer_build_mode",
    }
)  # fmt: skip
# Options with the values that change nothing, because the schemas behave so anyway.
AS_IT_IS = {
    "allow_inf_nan": (False,),
    "extra": ("forbid", None),
    "frozen": (False,),
    "populate_by_name": (False, True),  # no member has another name
    "validate_by_name": (True,),
    "validate_by_alias": (True, False),
    "serialize_by_alias": (True, False),
    "loc_by_alias": (True, False),
    "strict": (True,),
    "ser_json_bytes": ("base64",),
    "val_json_bytes": ("base64",),
    "ser_json_timedelta": ("iso8601",),
}
FIXES = {
    "alias_generator": "name each attribute as the member, and the column with sa_column_kwargs={'name': ...}",
    "extra": "unknown members are always refused with 422; take it out, or write extra='forbid'",
    "frozen": "mark each column READ_ONLY or CREATE_ONLY",
    "json_schema_extra": "put examples and descriptions into the fields",
    "coerce_numbers_to_str": "the values of requests are always strict; take it out",
    "strict": "the values of requests are always strict; take it out",
    "json_encoders": "give the column a type of its own",
}


def honoured_options(model: type[BaseModel]) -> ConfigDict:
    """Return the part of the class's `model_config` that applies to requests."""
    stated: dict[str, Any] = dict(model.model_config)
    found: Any = {option: stated[option] for option in HONOURED if option in stated}
    honoured: ConfigDict = found
    return honoured


def refused_options(model: type[BaseModel]) -> Iterator[tuple[str, str]]:
    """Yield each option of the class's `model_config` that cannot be honoured, and how to fix it."""
    for option, value in model.model_config.items():
        if option in HONOURED or option in HARMLESS or (option in AS_IT_IS and value in AS_IT_IS[option]):
            continue
        if value is not None and value != {}:
            yield f"{option}={value!r}", FIXES.get(option, "take it out")
