"""Consent, representation, emergency access and hand-over."""

from tortoise import migrations
from tortoise.migrations import operations as ops

from kpro_graph.storage.migrations.m0001_foundation import SEES, wall

TABLES = """
-- Until when the consent to an episode holds; null: none is in force. What was decided, and when, is in `consent`.
ALTER TABLE episode_of_care ADD COLUMN IF NOT EXISTS consented_until timestamptz;
ALTER TABLE episode_of_care ADD COLUMN IF NOT EXISTS colours_shown boolean NOT NULL DEFAULT false;
ALTER TABLE episode_of_care ADD COLUMN IF NOT EXISTS hidden_from_guardians boolean NOT NULL DEFAULT false;
ALTER TABLE episode_of_care ADD COLUMN IF NOT EXISTS handed_over_to integer REFERENCES municipality;

CREATE TABLE IF NOT EXISTS consent (
    municipality_id integer NOT NULL REFERENCES municipality,
    id uuid NOT NULL,
    citizen_id uuid NOT NULL,
    episode_id uuid NOT NULL,
    decision text NOT NULL CHECK (decision IN ('given', 'withdrawn')),
    manner text NOT NULL CHECK (manner IN ('oral', 'written', 'digital')),
    decided_at timestamptz NOT NULL,
    expires_at timestamptz,
    recorded_kind text NOT NULL CHECK (recorded_kind IN ('citizen', 'employee')),
    recorded_by uuid NOT NULL,
    PRIMARY KEY (municipality_id, id),
    FOREIGN KEY (municipality_id, citizen_id, episode_id) REFERENCES episode_of_care (municipality_id, citizen_id, id),
    CHECK (expires_at IS NULL OR (decision = 'given' AND expires_at > decided_at))
);
CREATE INDEX IF NOT EXISTS consent_episode ON consent (municipality_id, episode_id, decided_at DESC, id DESC);

CREATE TABLE IF NOT EXISTS representation (
    municipality_id integer NOT NULL REFERENCES municipality,
    id uuid NOT NULL,
    citizen_id uuid NOT NULL,
    representative_id uuid NOT NULL REFERENCES person,
    kind text NOT NULL CHECK (kind IN ('power_of_attorney', 'guardian')),
    may_read boolean NOT NULL,
    may_answer boolean NOT NULL,
    name text NOT NULL,
    valid_from timestamptz NOT NULL,
    valid_until timestamptz,
    ended_at timestamptz,
    recorded_by uuid NOT NULL,
    PRIMARY KEY (municipality_id, id),
    FOREIGN KEY (municipality_id, citizen_id) REFERENCES citizen,
    FOREIGN KEY (municipality_id, recorded_by) REFERENCES employee,
    CHECK (may_read OR may_answer),
    CHECK (valid_until IS NULL OR valid_until > valid_from)
);
CREATE INDEX IF NOT EXISTS representation_citizen ON representation (municipality_id, citizen_id, valid_from DESC, id);
CREATE INDEX IF NOT EXISTS representation_person ON representation (municipality_id, representative_id, citizen_id);

CREATE TABLE IF NOT EXISTS emergency_access (
    municipality_id integer NOT NULL REFERENCES municipality,
    id uuid NOT NULL,
    citizen_id uuid NOT NULL,
    employee_id uuid NOT NULL,
    organisation_unit_id uuid,
    reason text NOT NULL CHECK (length(reason) BETWEEN 1 AND 1000),
    opened_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    verdict text CHECK (verdict IN ('justified', 'unjustified')),
    note text,
    reviewed_by uuid,
    reviewed_at timestamptz,
    PRIMARY KEY (municipality_id, id),
    FOREIGN KEY (municipality_id, citizen_id) REFERENCES citizen,
    FOREIGN KEY (municipality_id, employee_id) REFERENCES employee,
    FOREIGN KEY (municipality_id, organisation_unit_id) REFERENCES organisation_unit,
    FOREIGN KEY (municipality_id, reviewed_by) REFERENCES employee,
    CHECK (expires_at > opened_at),
    CHECK ((verdict IS NULL) = (reviewed_by IS NULL) AND (verdict IS NULL) = (reviewed_at IS NULL))
);
CREATE INDEX IF NOT EXISTS emergency_access_employee ON emergency_access (municipality_id, employee_id, expires_at);
CREATE INDEX IF NOT EXISTS emergency_access_list ON emergency_access (municipality_id, opened_at DESC, id DESC);

-- A citizen's history offered by the municipality that holds it (municipality_id) to the one the citizen moved to.
CREATE TABLE IF NOT EXISTS hand_over (
    municipality_id integer NOT NULL REFERENCES municipality,
    id uuid NOT NULL,
    to_municipality_id integer NOT NULL REFERENCES municipality,
    person_id uuid NOT NULL REFERENCES person,
    citizen_id uuid NOT NULL,
    status text NOT NULL CHECK (status IN ('offered', 'accepted', 'declined', 'withdrawn')),
    reason text NOT NULL CHECK (length(reason) BETWEEN 1 AND 1000),
    offered_by uuid NOT NULL,
    offered_at timestamptz NOT NULL,
    decided_by uuid,
    decided_at timestamptz,
    PRIMARY KEY (municipality_id, id),
    FOREIGN KEY (municipality_id, citizen_id) REFERENCES citizen,
    FOREIGN KEY (municipality_id, offered_by) REFERENCES employee,
    CHECK (to_municipality_id <> municipality_id AND to_municipality_id <> 0),
    CHECK ((status = 'offered') = (decided_at IS NULL))
);
CREATE UNIQUE INDEX IF NOT EXISTS hand_over_one_offer
    ON hand_over (municipality_id, citizen_id) WHERE status = 'offered';
CREATE INDEX IF NOT EXISTS hand_over_receiver ON hand_over (to_municipality_id, person_id, offered_at DESC);
"""

WALLS = "".join(
    [
        *(wall(table, "municipality_id", f"municipality_id {SEES}") for table in
          ("consent", "representation", "emergency_access")),
        # Both municipalities see an offer; only the one that holds the history can make it.
        wall("hand_over", "municipality_id", f"municipality_id {SEES} OR to_municipality_id {SEES}"),
        f"""
DROP POLICY IF EXISTS receiver_decides ON hand_over;
CREATE POLICY receiver_decides ON hand_over FOR UPDATE
    USING (to_municipality_id {SEES}) WITH CHECK (to_municipality_id {SEES});
""",
    ]
)

# Before consent was recorded, episodes began active: what is open stays readable.
CARRIED = """
DO $$
BEGIN
    -- Row-level security holds for the owner too, hence the setting.
    PERFORM set_config('kpro.municipalities',
        (SELECT '{' || coalesce(string_agg(n::text, ','), '') || '}' FROM generate_series(1, 9999) n), true);
    UPDATE episode_of_care SET consented_until = '9999-12-31T00:00:00Z'
    WHERE status = 'active' AND consented_until IS NULL
      AND NOT EXISTS (SELECT FROM consent c WHERE c.municipality_id = episode_of_care.municipality_id
                      AND c.episode_id = episode_of_care.id);
END $$;
"""

GRANTS = """
-- Decisions are added to, never altered; of an emergency access only the review is.
GRANT SELECT, INSERT ON consent, emergency_access, hand_over, representation TO kpro_api;
GRANT UPDATE (ended_at) ON representation TO kpro_api;
GRANT UPDATE (verdict, note, reviewed_by, reviewed_at) ON emergency_access TO kpro_api;
GRANT UPDATE (status, decided_by, decided_at) ON hand_over TO kpro_api;
"""


class Migration(migrations.Migration):
    dependencies = [("kpro", "m0001_foundation")]
    operations = [
        ops.RunSQL(TABLES, reverse_sql=""),
        ops.RunSQL(WALLS, reverse_sql=""),
        ops.RunSQL(CARRIED, reverse_sql=""),
        ops.RunSQL(GRANTS, reverse_sql=""),
    ]
