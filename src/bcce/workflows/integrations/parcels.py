"""What a connector is called with: the parameters of the file with their expressions evaluated and their references filled in."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import BaseModel, ValidationError

from bcce.kit.errors import InvalidInput
from bcce.kit.redact import Secret, mask_text
from bcce.kit.text import canonical_json, digest
from bcce.security.errors import SecretUnavailable
from bcce.security.secrets import SecretStore
from bcce.storage.doors import Database
from bcce.workflows import repository as journal
from bcce.workflows.connector import Connector
from bcce.workflows.errors import DeliveryFailed
from bcce.workflows.expressions import Expressions
from bcce.workflows.inputs import secret_inputs
from bcce.workflows.integrations.repository import Lane
from bcce.workflows.parameters import problems_of
from bcce.workflows.references import filled, seal, sealed_in
from bcce.workflows.service import WorkflowService


@dataclass(frozen=True, kw_only=True, slots=True)
class Parcel:
    """A connector and its parameters. `where` is a name for the two that holds no value of a secret; `masks` must be seen nowhere."""

    connector: Connector
    params: BaseModel = field(repr=False)
    where: str
    masks: tuple[Secret, ...]


class Parcels:
    """Makes parcels, each just before it is sent."""

    def __init__(
        self,
        *,
        db: Database,
        connectors: Mapping[str, Connector],
        workflows: WorkflowService,
        expressions: Expressions,
        secrets: SecretStore,
    ) -> None:
        self._db = db
        self._connectors = connectors
        self._workflows = workflows
        self._expressions = expressions
        self._secrets = secrets

    async def make(self, lane: Lane) -> Parcel:
        """The parcel for one lane; reads the values of its secrets anew each time, so that a changed one is soon used.

        Raises:
            DeliveryFailed: the connector is not installed, or a secret has no value now.
            InvalidInput: the parameters do not fit the connector.
        """
        connector = self._connectors.get(lane.connector)
        if connector is None:
            raise DeliveryFailed(f"no connector {lane.connector!r} is installed here", hint="install the plugin that brings it")
        run = await self._db.read(lambda conn: journal.get_run(conn, lane.run_id, lane.tenant_id))
        if run is None:
            raise InvalidInput(f"there is no run {lane.run_id}")
        definition = await self._workflows.load(run.definition_id, run.definition_format)
        parameters = dict(definition.integrations[lane.number].parameters)
        given = seal(parameters, {"inputs": dict(run.inputs)}, self._expressions, secret_inputs(definition, run.id))
        texts = set(sealed_in(given))
        try:
            values = {text: await self._secrets.fill(text) for text in texts}
            masks = await self._secrets.masks(texts) if texts else ()
        except SecretUnavailable as error:
            # Who runs the server can give it one, so the event waits for that.
            raise DeliveryFailed(error.message, hint=error.hint) from error
        try:
            params = connector.params.model_validate(filled(given, values))
        except ValidationError as error:
            problems = mask_text(problems_of(error), masks)
            # The error that pydantic raised holds the values.
            raise InvalidInput(f"parameters of the integration {lane.connector!r}: {problems}") from None
        named = {"given": filled(given, {text: Secret(str(text)) for text in texts}), "references": sorted(map(str, texts))}
        where = f"connector:{lane.connector}:{digest(canonical_json(named))[-16:]}"
        return Parcel(connector=connector, params=params, where=where, masks=masks)
