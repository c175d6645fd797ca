"""The table itself, as data."""

from typing import Final

from tests.table.row import Row
from tests.table.rows import identities, laundering, refusals, requirements, revocations, sources

ROWS: Final[tuple[Row, ...]] = (
    *refusals.ROWS,
    *sources.ROWS,
    *revocations.ROWS,
    *laundering.ROWS,
    *identities.ROWS,
    *requirements.ROWS,
)
