"""A database, or all rows of a table, is removed."""

import re
from collections.abc import Iterable

from bcce.kit.findings import Rule, Severity, Verdict
from bcce.safety.bash.view import Call, View
from bcce.safety.rules.bash import Place

RULE = Rule(
    id="bash.drop-data",
    title="A database, or all rows of a table, is removed",
    severity=Severity.CRITICAL,
    verdict=Verdict.BLOCK,
    why="the data is gone on every replica at once",
    instead="have the database's owner change the rows that are wrong, after a backup",
    tags=("T1485",),
    examples_match=(
        "mysql -e 'DROP DATABASE shop'",
        "psql -c 'truncate table orders'",
        'echo "DROP TABLE users;" | psql shop',
        "redis-cli FLUSHALL",
        "mongosh --eval 'db.dropDatabase()'",
        "dropdb shop",
        "mysql shop -e 'delete from orders'",
        "psql shop <<'EOF'\nDROP SCHEMA public CASCADE;\nEOF\n",
        "curl -XDELETE http://localhost:9200/_all",
    ),
    examples_pass=(
        "psql -c 'vacuum analyze'",
        "mysql -e 'show processlist'",
        "redis-cli del session:1",
        "psql -c \"delete from jobs where state = 'done'\"",
        "echo 'DROP TABLE users;'",
        "mysql -e 'drop index idx on orders'",
    ),
)
_SQL = frozenset(
    {
        "mysql",
        "mariadb",
        "psql",
        "sqlite3",
        "sqlcmd",
        "sqlplus",
        "clickhouse-client",
        "cockroach",
        "cqlsh",
        "usql",
        "pgcli",
        "mycli",
        "db2",
        "isql",
        "vsql",
        "bq",
        "influx",
        "duckdb",
        "mysqlsh",
    }
)
_DROPS = re.compile(
    r"\bdrop\s+(database|schema|table|tablespace|keyspace|user|role|collection|measurement|owned)\b|\btruncate\s+(table\s+)?[\w.\"`]+|"
    r"\bdelete\s+from\s+[\w.\"`]+\s*(;|$|where\s+(1\s*=\s*1|true)\b)|\bupdate\s+[\w.\"`]+\s+set\s+(?:(?!\bwhere\b)[^;])*(;|$)|"
    r"\bshutdown\b|\breset\s+master\b|into\s+outfile|copy\s+.*\bto\s+program|xp_cmdshell|load_file\(",
    re.IGNORECASE,
)
_MONGO = re.compile(
    r"dropDatabase\(|\.drop\(\)|deleteMany\(\s*\{\s*\}|remove\(\s*\{\s*\}|shutdownServer|dropUser|dropAllUsers", re.IGNORECASE
)


def find(view: View) -> Iterable[Place]:
    """SQL in arguments, heredocs and pipes, and the clients' own words."""
    for call in view.calls:
        if call.name is not None and _drops(view, call, call.name):
            yield Place(call.command)


def _drops(view: View, call: Call, name: str) -> bool:
    values = call.values
    if name in _SQL:
        return any(_DROPS.search(text) for text in _texts(view, call))
    if name in ("mongo", "mongosh"):
        return any(_MONGO.search(text) for text in _texts(view, call))
    if name == "redis-cli":
        return (
            any(
                word.lower() in ("flushall", "flushdb", "shutdown", "debug", "swapdb")
                for text in _texts(view, call)
                for word in text.split()
            )
            and "get" not in values
        )
    if name in ("dropdb", "dropuser", "pg_resetwal", "pg_dropcluster"):
        return not call.has("--help", "--version", "-n", "--dry-run")
    if name == "mysqladmin":
        return bool({"drop", "shutdown"} & set(values))
    if name in ("curl", "wget", "http"):
        deletes = any(re.fullmatch(r"(-X|--request=|--method=)?DELETE", value) for value in values)
        return deletes and any(
            re.search(r":9200/(_all|\*|[\w*-]+/?$|_data_stream)|:8500/v1/kv/?\?recurse|:2379/", value) for value in values
        )
    if name in ("rabbitmqctl",):
        return bool({"reset", "force_reset", "delete_vhost"} & set(values))
    if name in ("kafka-topics", "kafka-topics.sh"):
        return "--delete" in values
    return name == "nodetool" and bool({"decommission", "assassinate", "removenode"} & set(values))


def _texts(view: View, call: Call) -> list[str]:
    found = [value for value in call.args if not value.startswith("--host")]
    found += [redirect.body for redirect in call.command.redirects if redirect.operator == "<<"]
    found += [text for redirect in call.command.redirects if redirect.operator == "<<<" for text in view.targets(redirect)]
    found += [
        text
        for source in view.sources(call)
        if source.name in ("echo", "printf", "cat")
        for text in (*source.args, *(redirect.body for redirect in source.command.redirects))
    ]
    return found
