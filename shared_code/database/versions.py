"""A number for each organization that grows when what it may be shown changes; an answer made before tells by it.

Whoever changes an organization's data lets the number grow in the same transaction, as the last thing it does: from
then on others who would change it wait, so changes of one organization become visible in the order of their numbers.
Who reads the number before anything else, and later finds it the same, has missed nothing.
"""

from typing import Any

from sqlalchemy import Insert, Select, Update, exists, literal, select, update
from sqlalchemy.dialects import postgresql

from shared_code.database.tables import organization_versions


def grow(organizations: Select[Any], dialect: str) -> list[Insert | Update]:
    """Return statements that let the number of each organization grow.

    Args:
        organizations: whose, as the one column `organization_id`, each once.
        dialect: of the database.
    """
    table = organization_versions
    changed = organizations.subquery("changed")
    # In one order, so that two that change several organizations do not wait for each other.
    first = select(changed.c.organization_id, literal(1)).order_by(changed.c.organization_id)
    names = ["organization_id", "version"]
    if dialect == "postgresql":
        statement = postgresql.insert(table).from_select(names, first)
        return [
            statement.on_conflict_do_update(index_elements=["organization_id"], set_={"version": table.c.version + 1})
        ]
    there = exists().where(table.c.organization_id == changed.c.organization_id)
    return [
        table.insert().from_select(names, select(changed.c.organization_id, literal(0)).where(~there)),
        update(table)
        .where(table.c.organization_id.in_(select(changed.c.organization_id)))
        .values(version=table.c.version + 1),
    ]
