"""The access log: what a line says, partitions, positions, and the seals that chain them."""

from tortoise import migrations
from tortoise.migrations import operations as ops

from kpro_graph.storage.migrations.m0001_foundation import SEES

PARTITIONS = 8

# What a table cannot be turned into, it is copied into: a plain table becomes a partitioned one.
ASIDE = """
DO $$
BEGIN
    IF (SELECT relkind FROM pg_class WHERE oid = to_regclass('public.access_log')) = 'r' THEN
        ALTER TABLE access_log RENAME TO access_log_before;
        ALTER TABLE access_log_before NO FORCE ROW LEVEL SECURITY;
        DROP INDEX access_log_citizen;
    END IF;
END $$;
"""

TABLES = """
-- A municipality's lines lie together; what the wall says stands on every part of the table.
CREATE TABLE IF NOT EXISTS access_log (
    municipality_id integer NOT NULL,
    id uuid NOT NULL,
    operation_id uuid NOT NULL,
    operation text NOT NULL,
    action text NOT NULL CONSTRAINT access_log_action CHECK (action IN ('read', 'create', 'update', 'search', 'deliver')),
    -- Null where a search found nobody.
    citizen_id uuid,
    actor_kind text NOT NULL CONSTRAINT access_log_actor_kind
        CHECK (actor_kind IN ('citizen', 'employee', 'system', 'security_officer', 'operator')),
    actor_id uuid NOT NULL,
    roles text NOT NULL,
    organisation_unit_id uuid,
    care_team_id uuid,
    on_behalf_of uuid,
    purpose text NOT NULL CONSTRAINT access_log_purpose
        CHECK (purpose IN ('own', 'representation', 'treatment', 'administration', 'emergency', 'integration', 'security',
                           'operation')),
    override boolean NOT NULL,
    fields_seen text NOT NULL,
    questionnaires text[] NOT NULL,
    trace_id text NOT NULL,
    viewers text[] NOT NULL,
    protected boolean NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    position bigint,
    CONSTRAINT access_log_key PRIMARY KEY (municipality_id, id),
    CONSTRAINT access_log_subject FOREIGN KEY (municipality_id, citizen_id) REFERENCES citizen
) PARTITION BY HASH (municipality_id);
""" + "".join(
    f"""
CREATE TABLE IF NOT EXISTS access_log_{n} PARTITION OF access_log
    FOR VALUES WITH (MODULUS {PARTITIONS}, REMAINDER {n});"""
    for n in range(PARTITIONS)
) + """
CREATE INDEX IF NOT EXISTS access_log_citizen ON access_log (municipality_id, citizen_id, recorded_at DESC, id DESC);
CREATE INDEX IF NOT EXISTS access_log_latest ON access_log (municipality_id, recorded_at DESC, id DESC);
CREATE INDEX IF NOT EXISTS access_log_actor ON access_log (municipality_id, actor_id, recorded_at DESC, id DESC);
CREATE INDEX IF NOT EXISTS access_log_viewers ON access_log USING gin (viewers) WHERE viewers <> '{}';
CREATE UNIQUE INDEX IF NOT EXISTS access_log_position ON access_log (municipality_id, position)
    WHERE position IS NOT NULL;
CREATE INDEX IF NOT EXISTS access_log_unsealed ON access_log (recorded_at, id) WHERE position IS NULL;

CREATE TABLE IF NOT EXISTS access_log_seal (
    municipality_id integer NOT NULL REFERENCES municipality,
    number bigint NOT NULL CHECK (number > 0),
    form smallint NOT NULL,
    first_position bigint NOT NULL CHECK (first_position > 0),
    last_position bigint NOT NULL CHECK (last_position >= first_position),
    sealed_at timestamptz NOT NULL,
    previous bytea NOT NULL,
    hash bytea NOT NULL,
    PRIMARY KEY (municipality_id, number),
    UNIQUE (municipality_id, last_position)
);
"""

# Lines from before they said why, where and which: what can be told from them is told, the rest stays empty.
CARRIED = """
DO $$
BEGIN
    IF to_regclass('public.access_log_before') IS NOT NULL THEN
        ALTER TABLE access_log NO FORCE ROW LEVEL SECURITY;
        INSERT INTO access_log (municipality_id, id, operation_id, operation, action, citizen_id, actor_kind, actor_id,
                                roles, purpose, override, fields_seen, questionnaires, trace_id, viewers, protected,
                                recorded_at)
        SELECT municipality_id, id, operation_id, operation, action, citizen_id, actor_kind, actor_id, roles,
               CASE actor_kind WHEN 'citizen' THEN 'own' WHEN 'system' THEN 'integration' ELSE 'treatment' END,
               false, fields_seen, '{}', '', '{}', false, recorded_at
        FROM access_log_before;
        DROP TABLE access_log_before;
    END IF;
END $$;
"""


def _line_wall(table: str) -> str:
    # No policy lets anyone delete, and only one lets anyone change: the relay gives a position, once. That holds for
    # the owner of the table as well, until they take the wall down, and what is sealed shows that they did.
    return f"""
ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;
ALTER TABLE {table} FORCE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS municipality_read ON {table};
DROP POLICY IF EXISTS municipality_adds ON {table};
DROP POLICY IF EXISTS relay_reads ON {table};
DROP POLICY IF EXISTS relay_places ON {table};
CREATE POLICY municipality_read ON {table} FOR SELECT USING (municipality_id {SEES});
CREATE POLICY municipality_adds ON {table} FOR INSERT WITH CHECK (municipality_id {SEES} AND position IS NULL);
CREATE POLICY relay_reads ON {table} FOR SELECT TO kpro_relay USING (true);
CREATE POLICY relay_places ON {table} FOR UPDATE TO kpro_relay
    USING (position IS NULL) WITH CHECK (position IS NOT NULL);
"""


WALLS = "".join(
    [
        _line_wall("access_log"),
        *(_line_wall(f"access_log_{n}") for n in range(PARTITIONS)),
        f"""
ALTER TABLE access_log_seal ENABLE ROW LEVEL SECURITY;
ALTER TABLE access_log_seal FORCE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS municipality_read ON access_log_seal;
DROP POLICY IF EXISTS relay_reads ON access_log_seal;
DROP POLICY IF EXISTS relay_seals ON access_log_seal;
CREATE POLICY municipality_read ON access_log_seal FOR SELECT USING (municipality_id {SEES});
CREATE POLICY relay_reads ON access_log_seal FOR SELECT TO kpro_relay USING (true);
CREATE POLICY relay_seals ON access_log_seal FOR INSERT TO kpro_relay WITH CHECK (true);
""",
    ]
)

GRANTS = """
-- Append-only: lines are added by the API, placed by the relay, and changed by nobody. The parts are reached through
-- the whole alone.
GRANT SELECT, INSERT ON access_log TO kpro_api;
GRANT SELECT ON access_log TO kpro_relay;
GRANT UPDATE (position) ON access_log TO kpro_relay;
GRANT SELECT ON access_log_seal TO kpro_api;
GRANT SELECT, INSERT ON access_log_seal TO kpro_relay;
"""


class Migration(migrations.Migration):
    dependencies = [("kpro", "m0002_people")]
    operations = [
        ops.RunSQL(ASIDE, reverse_sql=""),
        ops.RunSQL(TABLES, reverse_sql=""),
        ops.RunSQL(CARRIED, reverse_sql=""),
        ops.RunSQL(WALLS, reverse_sql=""),
        ops.RunSQL(GRANTS, reverse_sql=""),
    ]
