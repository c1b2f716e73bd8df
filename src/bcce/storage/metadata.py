"""The one catalogue of tables. Every domain's `tables.py` adds its own; migrations compare it with the database.

Constraints and indexes get their names from the convention, so that a migration can name them on every database. Primary keys have none:
MySQL and MariaDB ignore it with a warning.
"""

from sqlalchemy import MetaData

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    }
)
