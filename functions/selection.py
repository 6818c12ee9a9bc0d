"""What a client may choose of an answer: the fields of its items, and the units of what is measured."""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Generic, TypeVar

from fastapi import Query, Response
from pydantic import BaseModel, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, to_json

from functions.units import UnitSystem
from shared_code.errors import InvalidError

MAX_LENGTH: Final = 1000

_UNITS: Final = "`us`: units as they are stored. `si`: kPa, deg C, kW and m3/day; vibration is mm/s in both."
Units = Annotated[UnitSystem, Query(description=_UNITS)]
UnitsIfAsked = Annotated[UnitSystem | None, Query(description=f"{_UNITS} With it the answer says its units.")]

ModelT = TypeVar("ModelT", bound="Sparse")
ShapeT = TypeVar("ShapeT")


class Sparse(BaseModel):
    """A shape of which a client may ask for some fields; all are there where it asks for none."""

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Describe it without required fields."""
        described = handler(schema)
        handler.resolve_ref_schema(described).pop("required", None)
        return described


@dataclass(frozen=True, slots=True)
class Selection(Generic[ModelT]):
    """The fields of a shape that an answer is to have."""

    model: type[ModelT]
    fields: tuple[str, ...]

    def item(self, values: Mapping[Any, Any]) -> ModelT:
        """Return an item of the chosen fields."""
        item = self.model.model_validate(values if isinstance(values, dict) else dict(values))
        if len(self.fields) < len(self.model.model_fields):
            # What is not there is not written. To construct an item of few fields takes several times as long.
            for field in set(self.model.model_fields).difference(self.fields):
                del vars(item)[field]
        return item

    def values(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the chosen fields of a row that has at least these, for an `answer`."""
        if len(row) == len(self.fields):
            return row
        return {field: row[field] for field in self.fields}


def query_of(shape: Callable[..., ShapeT]) -> Callable[..., Awaitable[ShapeT]]:
    """Return a dependency that makes a shape of query parameters where it stands: a class would go to a thread."""

    async def made(**given: Any) -> ShapeT:  # noqa: ANN401 - whatever the shape has
        return shape(**given)

    made.__signature__ = inspect.signature(shape)  # pyright: ignore[reportFunctionMemberAccess] - what FastAPI looks at
    return made


def answer(**values: object) -> Response:
    """Return JSON of what our own tables say, unchecked: of a month of windows in a third of the time."""
    return Response(to_json(values, inf_nan_mode="null"), media_type="application/json")


def selection(model: type[ModelT]) -> Callable[..., Awaitable[Selection[ModelT]]]:
    """Return a dependency that reads which fields of a shape the client asks for."""
    every = tuple(model.model_fields)
    names = ", ".join(every)

    async def selected(
        fields: Annotated[
            str | None,
            Query(
                max_length=MAX_LENGTH,
                description=f"Only these fields, with commas between them: {names}.",
                examples=[",".join(every[:2])],
            ),
        ] = None,
    ) -> Selection[ModelT]:
        asked = every if fields is None else tuple(dict.fromkeys(fields.split(",")))
        if not set(every).issuperset(asked):
            raise InvalidError(f"must be some of these, with commas between them: {names}", field="fields")
        return Selection(model, asked)

    return selected
