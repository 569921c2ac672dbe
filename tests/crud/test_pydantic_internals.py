"""The parts of pydantic that are not documented: an upgrade that changes one fails here."""

from typing import Any, Self

import pytest
from pydantic import MISSING, BaseModel, ConfigDict, ValidationError, create_model, field_validator, model_validator

from rowhouse.schemas.pydantic_internals import core_schema_of, decorators_of, field_validators, model_validators


class Sample(BaseModel):
    """A class with each kind of validator."""

    name: str
    size: int

    @field_validator("name", "size", mode="before")
    @classmethod
    def not_empty(cls, value: Any) -> Any:
        """Neither may be empty."""
        if not value:
            raise ValueError("is empty")
        return value

    @field_validator("size")
    @classmethod
    def even(cls, value: int) -> int:
        """Sizes are even."""
        if value % 2:
            raise ValueError("is odd")
        return value

    @model_validator(mode="before")
    @classmethod
    def complete(cls, values: Any) -> Any:
        """The whole input."""
        return values | {"size": 2} if "size" not in values else values

    @model_validator(mode="after")
    def fits(self) -> Self:
        """The whole row."""
        if len(self.name) > self.size:
            raise ValueError("does not fit")
        return self


def test_a_core_schema_is_made_at_its_first_use() -> None:
    """Also of a model that defers it."""
    deferred = create_model("Deferred", __config__=ConfigDict(defer_build=True), name=(str, ...))
    assert core_schema_of(deferred)["type"] == "model"


def test_decorators_are_listed_by_their_kinds() -> None:
    """The kinds that the checks of a class read."""
    found = decorators_of(Sample)
    assert list(found.field_validators) == ["not_empty", "even"]
    assert list(found.model_validators) == ["complete", "fits"]
    kinds = ("field_serializers", "model_serializers", "computed_fields", "validators", "root_validators")
    assert [getattr(found, kind) for kind in kinds] == [{}] * len(kinds)


def test_field_validators_are_those_of_the_given_fields() -> None:
    """Each in its mode, and none for a field that the new model lacks."""
    assert set(field_validators(Sample, {"name"})) == {"not_empty"}
    made = create_model("Made", name=(str, ...), __validators__=field_validators(Sample, {"name"}))
    assert made(name="a").model_dump() == {"name": "a"}
    with pytest.raises(ValidationError, match="is empty"):
        made(name="")


def test_a_validator_that_takes_info_sees_what_the_client_sent() -> None:
    """In each form; a member that is left out is not in `info.data`, and the rest of `info` is pydantic's."""

    class Compared(BaseModel):
        """Two members, of which one is at least the other."""

        low: int
        high: int

        @field_validator("high", mode="wrap")
        @classmethod
        def not_less(cls, value: Any, handler: Any, info: Any) -> Any:
            """Raise it."""
            assert (info.field_name, info.mode) == ("high", "python")
            return max(handler(value), info.data.get("low", 0))

        @field_validator("high", mode="before")
        @classmethod
        def without_unit(cls, value: Any, info: Any) -> Any:
            """Take a text with a unit."""
            return int(value.removesuffix(" m")) if info.data.get("low", 1) else value

    validators = field_validators(Compared, {"low", "high"})
    low: Any = (int | MISSING, MISSING)
    made: Any = create_model("Made", low=low, high=(int, ...), __validators__=validators)
    assert (made(high="3 m").high, made(low=5, high="3 m").high) == (3, 5)


def test_model_validators_are_taken_over_in_their_mode() -> None:
    """Methods and class methods."""
    made = create_model("Made", name=(str, ...), size=(int, ...), __validators__=model_validators(Sample))
    assert made(name="ab").model_dump() == {"name": "ab", "size": 2}
    with pytest.raises(ValidationError, match="does not fit"):
        made(name="abc")
