"""An index on how a text begins, for texts that are too long to be index entries.

PostgreSQL takes index entries of 2.7 kB, and a key has up to 4,096 bytes; so the first HEAD_CHARS characters are in the
index, and whoever looks for more compares the rest in the rows. Sorted byte by byte on both databases, so that "begins
with" is a range.

Invariants
  H1  `head_of` is the expression of the index, letter by letter: SQLite uses an index on an expression only then.
Elsewhere: what is looked for (dlmsite.dashboard.auditquery).
"""

from typing import Any, Final

from django.db import connection, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.backends.ddl_references import Statement, Table

HEAD_CHARS: Final = 64
POSTGRESQL: Final = "postgresql"


def head_of(column: str, vendor: str = "") -> str:
    """Return SQL for how a column begins. `column` is a name of ours, never from outside."""
    text = f'substr("{column}", 1, {HEAD_CHARS})'
    return f'({text} COLLATE "C")' if (vendor or connection.vendor) == POSTGRESQL else text


class HeadIndex(models.Index):
    """An index on (how a column begins, id), of rows where it is not empty.

    Args:
        fields: exactly one column.
    """

    def create_sql(
        self, model: type[models.Model], schema_editor: BaseDatabaseSchemaEditor, using: str = "", **kwargs: Any
    ) -> Statement:
        """Return the statement that makes it."""
        del using, kwargs
        field = model._meta.get_field(self.fields[0])  # noqa: SLF001 - the columns that Django gave it
        column = str(getattr(field, "column", ""))
        return Statement(
            "CREATE INDEX %(name)s ON %(table)s (%(head)s, %(id)s) WHERE %(column)s <> ''",
            name=schema_editor.quote_name(self.name),
            table=Table(model._meta.db_table, schema_editor.quote_name),  # noqa: SLF001 - same
            head=head_of(column, schema_editor.connection.vendor),
            id=schema_editor.quote_name("id"),
            column=schema_editor.quote_name(column),
        )
