"""Reception computers and the sessions handed over at them; answers typed by staff."""

from tortoise import migrations
from tortoise.migrations import operations as ops

from kpro_graph.storage.migrations.m0001_foundation import SEES, wall

TABLES = """
CREATE TABLE IF NOT EXISTS reception_device (
    municipality_id integer NOT NULL REFERENCES municipality,
    id uuid NOT NULL,
    organisation_unit_id uuid NOT NULL,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    secret_hash bytea NOT NULL,
    -- Wrong codes since the last right one or the last pause.
    wrong_codes smallint NOT NULL DEFAULT 0,
    paused_until timestamptz,
    registered_at timestamptz NOT NULL,
    registered_by uuid NOT NULL,
    switched_off_at timestamptz,
    switched_off_by uuid,
    PRIMARY KEY (municipality_id, id),
    FOREIGN KEY (municipality_id, organisation_unit_id) REFERENCES organisation_unit,
    FOREIGN KEY (municipality_id, registered_by) REFERENCES employee,
    FOREIGN KEY (municipality_id, switched_off_by) REFERENCES employee,
    CHECK ((switched_off_at IS NULL) = (switched_off_by IS NULL))
);
CREATE INDEX IF NOT EXISTS reception_device_unit ON reception_device (municipality_id, organisation_unit_id, name, id);

-- A code is a session that has not begun: code_hash until it is used or its time is over, token_hash from then on.
CREATE TABLE IF NOT EXISTS reception_session (
    municipality_id integer NOT NULL REFERENCES municipality,
    id uuid NOT NULL,
    organisation_unit_id uuid NOT NULL,
    citizen_id uuid NOT NULL,
    handed_by uuid NOT NULL,
    handed_at timestamptz NOT NULL,
    code_hash bytea,
    code_expires_at timestamptz NOT NULL,
    device_id uuid,
    token_hash bytea,
    begun_at timestamptz,
    idle_seconds integer,
    idle_until timestamptz,
    expires_at timestamptz,
    ended_at timestamptz,
    ended_because text CHECK (ended_because IN
        ('submitted', 'left', 'ended_by_staff', 'replaced', 'device_off', 'expired')),
    PRIMARY KEY (municipality_id, id),
    FOREIGN KEY (municipality_id, organisation_unit_id) REFERENCES organisation_unit,
    FOREIGN KEY (municipality_id, citizen_id) REFERENCES citizen,
    FOREIGN KEY (municipality_id, handed_by) REFERENCES employee,
    FOREIGN KEY (municipality_id, device_id) REFERENCES reception_device,
    CHECK ((ended_at IS NULL) = (ended_because IS NULL)),
    CHECK ((begun_at IS NULL) = (device_id IS NULL) AND (begun_at IS NULL) = (idle_until IS NULL)
           AND (begun_at IS NULL) = (idle_seconds IS NULL) AND (begun_at IS NULL) = (expires_at IS NULL)),
    -- A code is forgotten when it is used, a token when its session ends.
    CHECK (code_hash IS NULL OR (begun_at IS NULL AND ended_at IS NULL)),
    CHECK (token_hash IS NULL OR (begun_at IS NOT NULL AND ended_at IS NULL))
);
-- No two codes of a unit are alike while they can be used, no citizen has two, and a device has one session.
CREATE UNIQUE INDEX IF NOT EXISTS reception_session_code
    ON reception_session (municipality_id, organisation_unit_id, code_hash) WHERE code_hash IS NOT NULL;
CREATE UNIQUE INDEX IF NOT EXISTS reception_session_waiting
    ON reception_session (municipality_id, organisation_unit_id, citizen_id) WHERE code_hash IS NOT NULL;
CREATE UNIQUE INDEX IF NOT EXISTS reception_session_device
    ON reception_session (municipality_id, device_id) WHERE token_hash IS NOT NULL;

CREATE TABLE IF NOT EXISTS handed_assignment (
    municipality_id integer NOT NULL REFERENCES municipality,
    id uuid NOT NULL,
    session_id uuid NOT NULL,
    assignment_id uuid NOT NULL,
    PRIMARY KEY (municipality_id, id),
    UNIQUE (municipality_id, session_id, assignment_id),
    FOREIGN KEY (municipality_id, session_id) REFERENCES reception_session,
    FOREIGN KEY (municipality_id, assignment_id) REFERENCES assignment
);

-- Who answered is `source` and `author_id` (null: a relative, of whom no more is known); who typed it, if staff did;
-- and who confirmed what staff typed. A response given at a reception computer names it.
ALTER TABLE response ALTER COLUMN author_id DROP NOT NULL;
ALTER TABLE response ADD COLUMN IF NOT EXISTS typed_by uuid;
ALTER TABLE response ADD COLUMN IF NOT EXISTS confirmed_by text
    CHECK (confirmed_by IN ('patient', 'relatedperson'));
ALTER TABLE response ADD COLUMN IF NOT EXISTS confirmed_at timestamptz;
ALTER TABLE response ADD COLUMN IF NOT EXISTS device_id uuid;
ALTER TABLE response ADD COLUMN IF NOT EXISTS provenance json NOT NULL DEFAULT '[]';
ALTER TABLE draft_answer ALTER COLUMN answered_by DROP NOT NULL;
ALTER TABLE draft_answer ADD COLUMN IF NOT EXISTS source text NOT NULL DEFAULT 'patient'
    CHECK (source IN ('patient', 'practitioner', 'relatedperson'));
ALTER TABLE draft_answer ADD COLUMN IF NOT EXISTS typed_by uuid;
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_constraint WHERE conname = 'response_assisted') THEN
        ALTER TABLE response
            ADD CONSTRAINT response_typist FOREIGN KEY (municipality_id, typed_by) REFERENCES employee,
            ADD CONSTRAINT response_device FOREIGN KEY (municipality_id, device_id) REFERENCES reception_device,
            ADD CONSTRAINT response_author CHECK (author_id IS NOT NULL OR source = 'relatedperson'),
            ADD CONSTRAINT response_assisted CHECK (
                (confirmed_by IS NULL) = (confirmed_at IS NULL)
                -- What staff typed is not submitted without a confirmation.
                AND (submitted_at IS NULL OR (typed_by IS NULL) = (confirmed_by IS NULL)));
        ALTER TABLE draft_answer
            ADD CONSTRAINT draft_answer_typist FOREIGN KEY (municipality_id, typed_by) REFERENCES employee,
            ADD CONSTRAINT draft_answer_author CHECK (answered_by IS NOT NULL OR source = 'relatedperson');
    END IF;
END $$;
"""

WALLS = "".join(
    wall(table, "municipality_id", f"municipality_id {SEES}")
    for table in ("reception_device", "reception_session", "handed_assignment")
)

GRANTS = """
-- What was handed over, when and by whom stays; only how it goes on is written.
GRANT SELECT, INSERT ON reception_device, reception_session, handed_assignment TO kpro_api;
GRANT UPDATE (wrong_codes, paused_until, switched_off_at, switched_off_by) ON reception_device TO kpro_api;
GRANT UPDATE (code_hash, device_id, token_hash, begun_at, idle_seconds, idle_until, expires_at, ended_at,
              ended_because) ON reception_session TO kpro_api;
"""


class Migration(migrations.Migration):
    dependencies = [("kpro", "m0005_hand_over")]
    operations = [
        ops.RunSQL(TABLES, reverse_sql=""),
        ops.RunSQL(WALLS, reverse_sql=""),
        ops.RunSQL(GRANTS, reverse_sql=""),
    ]
