"""Kinds of settings that Pydantic does not have."""

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from bcce.kit.redact import MASK, Secret


@dataclass(frozen=True, slots=True)
class _SecretText:
    """Reads text into a `Secret`; every way out, Python or JSON, gives the mask."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        text = core_schema.no_info_after_validator_function(Secret, core_schema.str_schema(min_length=1))
        return core_schema.json_or_python_schema(
            json_schema=text,
            python_schema=core_schema.union_schema([core_schema.is_instance_schema(Secret), text]),
            serialization=core_schema.plain_serializer_function_ser_schema(lambda _: MASK, return_schema=core_schema.str_schema()),
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "minLength": 1, "format": "password", "writeOnly": True}


#: A setting that is never shown: text in the file or the environment, a `kit` Secret in the program, the mask in every dump.
SecretField = Annotated[Secret, _SecretText()]


@dataclass(frozen=True, slots=True)
class NotUsedYet:
    """Marks a setting that published files have and nothing in this release reads; the loader says so when it is set."""


NOT_USED_YET = NotUsedYet()
