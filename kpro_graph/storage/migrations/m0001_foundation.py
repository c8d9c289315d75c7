"""Tables, the municipality wall, immutability and grants."""

from tortoise import migrations
from tortoise.migrations import operations as ops

TABLES = """
CREATE TABLE IF NOT EXISTS municipality (
    id integer PRIMARY KEY CHECK (id BETWEEN 0 AND 9999),
    name text NOT NULL,
    cvr text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- The national library is a tenant of its own; row-level security holds for the owner too, hence the setting.
SELECT set_config('kpro.municipalities', '{0}', true);
INSERT INTO municipality (id, name, cvr) VALUES (0, 'Det nationale bibliotek', '') ON CONFLICT DO NOTHING;

CREATE TABLE IF NOT EXISTS person (
    id uuid PRIMARY KEY,
    cpr_index bytea NOT NULL UNIQUE,
    cpr_sealed bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS organisation_unit (
    municipality_id integer NOT NULL REFERENCES municipality,
    id uuid NOT NULL,
    parent_id uuid,
    name text NOT NULL,
    kle text[] NOT NULL,
    active boolean NOT NULL,
    PRIMARY KEY (municipality_id, id),
    FOREIGN KEY (municipality_id, parent_id) REFERENCES organisation_unit
);

CREATE TABLE IF NOT EXISTS employee (
    municipality_id integer NOT NULL REFERENCES municipality,
    id uuid NOT NULL,
    subject text NOT NULL,
    name text NOT NULL,
    cpr_sealed bytea,
    active boolean NOT NULL,
    PRIMARY KEY (municipality_id, id),
    UNIQUE (municipality_id, subject)
);

CREATE TABLE IF NOT EXISTS care_team (
    municipality_id integer NOT NULL REFERENCES municipality,
    id uuid NOT NULL,
    organisation_unit_id uuid NOT NULL,
    name text NOT NULL,
    reason_codes text[] NOT NULL,
    status text NOT NULL CHECK (status IN ('active', 'inactive')),
    PRIMARY KEY (municipality_id, id),
    FOREIGN KEY (municipality_id, organisation_unit_id) REFERENCES organisation_unit
);
CREATE INDEX IF NOT EXISTS care_team_name ON care_team (municipality_id, name, id);

CREATE TABLE IF NOT EXISTS care_team_member (
    municipality_id integer NOT NULL REFERENCES municipality,
    id uuid NOT NULL,
    care_team_id uuid NOT NULL,
    employee_id uuid NOT NULL,
    role text NOT NULL,
    PRIMARY KEY (municipality_id, id),
    UNIQUE (municipality_id, care_team_id, employee_id, role),
    FOREIGN KEY (municipality_id, care_team_id) REFERENCES care_team,
    FOREIGN KEY (municipality_id, employee_id) REFERENCES employee
);
CREATE INDEX IF NOT EXISTS care_team_member_employee ON care_team_member (municipality_id, employee_id);

CREATE TABLE IF NOT EXISTS citizen (
    municipality_id integer NOT NULL REFERENCES municipality,
    id uuid NOT NULL,
    person_id uuid NOT NULL REFERENCES person,
    given_name text NOT NULL,
    family_name text NOT NULL,
    display_name text NOT NULL,
    sort_name text NOT NULL,
    birth_date date NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (municipality_id, id),
    UNIQUE (municipality_id, person_id)
);
CREATE INDEX IF NOT EXISTS citizen_person ON citizen (person_id);

CREATE TABLE IF NOT EXISTS episode_of_care (
    municipality_id integer NOT NULL REFERENCES municipality,
    id uuid NOT NULL,
    citizen_id uuid NOT NULL,
    care_team_id uuid NOT NULL,
    organisation_unit_id uuid NOT NULL,
    status text NOT NULL CHECK (status IN
        ('planned', 'waitlist', 'active', 'onhold', 'finished', 'cancelled', 'entered-in-error')),
    legal_basis text NOT NULL CHECK (legal_basis IN ('sundhedsloven', 'serviceloven', 'aeldreloven')),
    reason_code text NOT NULL,
    started_at timestamptz NOT NULL,
    ended_at timestamptz,
    urgency smallint NOT NULL DEFAULT 0 CHECK (urgency BETWEEN 0 AND 3),
    last_response_at timestamptz,
    opened_by uuid NOT NULL,
    PRIMARY KEY (municipality_id, id),
    UNIQUE (municipality_id, citizen_id, id),
    FOREIGN KEY (municipality_id, citizen_id) REFERENCES citizen,
    FOREIGN KEY (municipality_id, care_team_id) REFERENCES care_team,
    FOREIGN KEY (municipality_id, organisation_unit_id) REFERENCES organisation_unit,
    FOREIGN KEY (municipality_id, opened_by) REFERENCES employee
);
CREATE INDEX IF NOT EXISTS episode_of_care_worklist
    ON episode_of_care (municipality_id, care_team_id, status, urgency DESC, id);
CREATE INDEX IF NOT EXISTS episode_of_care_unit
    ON episode_of_care (municipality_id, organisation_unit_id, citizen_id);

CREATE TABLE IF NOT EXISTS questionnaire (
    municipality_id integer NOT NULL REFERENCES municipality,
    id uuid NOT NULL,
    url text NOT NULL,
    version text NOT NULL,
    name text NOT NULL,
    title text NOT NULL,
    title_en text NOT NULL,
    status text NOT NULL CHECK (status IN ('draft', 'active', 'retired')),
    content json NOT NULL,
    content_hash text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    activated_at timestamptz,
    PRIMARY KEY (municipality_id, id),
    UNIQUE (municipality_id, url, version)
);

CREATE TABLE IF NOT EXISTS rule_set (
    municipality_id integer NOT NULL REFERENCES municipality,
    id uuid NOT NULL,
    questionnaire_id uuid NOT NULL,
    name text NOT NULL,
    version text NOT NULL,
    status text NOT NULL CHECK (status IN ('draft', 'approved', 'off')),
    content json NOT NULL,
    content_hash text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (municipality_id, id),
    UNIQUE (municipality_id, questionnaire_id, name, version),
    FOREIGN KEY (municipality_id, questionnaire_id) REFERENCES questionnaire
);

CREATE TABLE IF NOT EXISTS assignment (
    municipality_id integer NOT NULL REFERENCES municipality,
    id uuid NOT NULL,
    episode_id uuid NOT NULL,
    citizen_id uuid NOT NULL,
    questionnaire_owner integer NOT NULL CHECK (questionnaire_owner IN (0, municipality_id)),
    questionnaire_id uuid NOT NULL,
    status text NOT NULL CHECK (status IN ('requested', 'in-progress', 'completed', 'revoked')),
    assigned_at timestamptz NOT NULL,
    assigned_by uuid NOT NULL,
    due_at timestamptz,
    completed_at timestamptz,
    PRIMARY KEY (municipality_id, id),
    FOREIGN KEY (municipality_id, citizen_id, episode_id) REFERENCES episode_of_care (municipality_id, citizen_id, id),
    FOREIGN KEY (questionnaire_owner, questionnaire_id) REFERENCES questionnaire,
    FOREIGN KEY (municipality_id, assigned_by) REFERENCES employee
);
CREATE INDEX IF NOT EXISTS assignment_citizen ON assignment (municipality_id, citizen_id, assigned_at DESC, id DESC);
CREATE INDEX IF NOT EXISTS assignment_episode ON assignment (municipality_id, episode_id, assigned_at DESC, id DESC);

CREATE TABLE IF NOT EXISTS response (
    municipality_id integer NOT NULL REFERENCES municipality,
    id uuid NOT NULL,
    assignment_id uuid NOT NULL,
    episode_id uuid NOT NULL,
    citizen_id uuid NOT NULL,
    questionnaire_owner integer NOT NULL CHECK (questionnaire_owner IN (0, municipality_id)),
    questionnaire_id uuid NOT NULL,
    questionnaire_url text NOT NULL,
    rule_set_id uuid,
    status text NOT NULL CHECK (status IN ('in-progress', 'completed', 'amended', 'entered-in-error')),
    version integer NOT NULL DEFAULT 1,
    amends_id uuid,
    amend_reason text,
    superseded boolean NOT NULL DEFAULT false,
    source text NOT NULL CHECK (source IN ('patient', 'practitioner', 'relatedperson')),
    author_id uuid NOT NULL,
    answers json NOT NULL,
    colour text NOT NULL CHECK (colour IN ('green', 'yellow', 'red', 'not_interpreted')),
    content_hash text,
    receipt text,
    idempotency_key text,
    created_at timestamptz NOT NULL DEFAULT now(),
    submitted_at timestamptz,
    PRIMARY KEY (municipality_id, id),
    FOREIGN KEY (municipality_id, assignment_id) REFERENCES assignment,
    FOREIGN KEY (municipality_id, citizen_id, episode_id) REFERENCES episode_of_care (municipality_id, citizen_id, id),
    FOREIGN KEY (questionnaire_owner, questionnaire_id) REFERENCES questionnaire,
    FOREIGN KEY (questionnaire_owner, rule_set_id) REFERENCES rule_set,
    FOREIGN KEY (municipality_id, amends_id) REFERENCES response,
    CHECK ((status = 'in-progress') = (submitted_at IS NULL)),
    CHECK ((status = 'in-progress') = (receipt IS NULL))
);
-- One draft at a time, one first version and one amendment of each version: concurrent submits meet here.
CREATE UNIQUE INDEX IF NOT EXISTS response_one_draft
    ON response (municipality_id, assignment_id) WHERE status = 'in-progress';
CREATE UNIQUE INDEX IF NOT EXISTS response_one_version
    ON response (municipality_id, assignment_id, version);
CREATE INDEX IF NOT EXISTS response_latest
    ON response (municipality_id, citizen_id, questionnaire_url, submitted_at DESC, id DESC)
    WHERE submitted_at IS NOT NULL AND NOT superseded;
CREATE INDEX IF NOT EXISTS response_citizen
    ON response (municipality_id, citizen_id, submitted_at DESC, id DESC);
CREATE INDEX IF NOT EXISTS response_episode
    ON response (municipality_id, episode_id, questionnaire_url, submitted_at DESC, id DESC);

CREATE TABLE IF NOT EXISTS draft_answer (
    municipality_id integer NOT NULL REFERENCES municipality,
    id uuid NOT NULL,
    response_id uuid NOT NULL,
    path text NOT NULL,
    answer json NOT NULL,
    revision integer NOT NULL DEFAULT 1,
    answered_at timestamptz NOT NULL,
    answered_by uuid NOT NULL,
    PRIMARY KEY (municipality_id, id),
    UNIQUE (municipality_id, response_id, path),
    FOREIGN KEY (municipality_id, response_id) REFERENCES response
);

CREATE TABLE IF NOT EXISTS score (
    municipality_id integer NOT NULL REFERENCES municipality,
    id uuid NOT NULL,
    response_id uuid NOT NULL,
    citizen_id uuid NOT NULL,
    questionnaire_url text NOT NULL,
    code text NOT NULL,
    position smallint NOT NULL,
    label text NOT NULL,
    label_en text NOT NULL,
    value numeric,
    unit text,
    minimum numeric,
    maximum numeric,
    explanation json NOT NULL,
    submitted_at timestamptz NOT NULL,
    superseded boolean NOT NULL DEFAULT false,
    PRIMARY KEY (municipality_id, id),
    UNIQUE (municipality_id, response_id, code),
    FOREIGN KEY (municipality_id, response_id) REFERENCES response,
    FOREIGN KEY (municipality_id, citizen_id) REFERENCES citizen
);
CREATE INDEX IF NOT EXISTS score_trend
    ON score (municipality_id, citizen_id, questionnaire_url, code, submitted_at) WHERE NOT superseded;

CREATE TABLE IF NOT EXISTS interpretation (
    municipality_id integer NOT NULL REFERENCES municipality,
    id uuid NOT NULL,
    response_id uuid NOT NULL,
    citizen_id uuid NOT NULL,
    position smallint NOT NULL,
    subject text NOT NULL,
    topic text NOT NULL,
    topic_en text NOT NULL,
    label text NOT NULL,
    label_en text NOT NULL,
    colour text NOT NULL CHECK (colour IN ('green', 'yellow', 'red', 'not_interpreted')),
    meaning text NOT NULL,
    word text NOT NULL,
    word_en text NOT NULL,
    icon text NOT NULL,
    reason text NOT NULL,
    reason_en text NOT NULL,
    explanation json NOT NULL,
    PRIMARY KEY (municipality_id, id),
    UNIQUE (municipality_id, response_id, subject),
    FOREIGN KEY (municipality_id, response_id) REFERENCES response,
    FOREIGN KEY (municipality_id, citizen_id) REFERENCES citizen
);

CREATE TABLE IF NOT EXISTS access_log (
    municipality_id integer NOT NULL REFERENCES municipality,
    id uuid NOT NULL,
    operation_id uuid NOT NULL,
    citizen_id uuid NOT NULL,
    action text NOT NULL CHECK (action IN ('read', 'create', 'update', 'search')),
    operation text NOT NULL,
    actor_kind text NOT NULL,
    actor_id uuid NOT NULL,
    roles text NOT NULL,
    fields_seen text NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (municipality_id, id),
    UNIQUE (municipality_id, operation_id, citizen_id, action),
    FOREIGN KEY (municipality_id, citizen_id) REFERENCES citizen
);
CREATE INDEX IF NOT EXISTS access_log_citizen ON access_log (municipality_id, citizen_id, recorded_at DESC, id DESC);

CREATE TABLE IF NOT EXISTS event (
    municipality_id integer NOT NULL REFERENCES municipality,
    id uuid NOT NULL,
    type text NOT NULL,
    citizen_id uuid,
    care_team_id uuid,
    subject_type text NOT NULL,
    subject_id uuid NOT NULL,
    subject_version integer NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    position bigint,
    PRIMARY KEY (municipality_id, id)
);
CREATE UNIQUE INDEX IF NOT EXISTS event_position ON event (position) WHERE position IS NOT NULL;
CREATE INDEX IF NOT EXISTS event_tenant_position ON event (municipality_id, position) WHERE position IS NOT NULL;
CREATE INDEX IF NOT EXISTS event_unsequenced ON event (recorded_at, id) WHERE position IS NULL;

-- The sequencer's only memory: the last position given.
CREATE TABLE IF NOT EXISTS event_head (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    position bigint NOT NULL
);
INSERT INTO event_head (position) VALUES (0) ON CONFLICT DO NOTHING;
"""

TENANT_TABLES = (
    "organisation_unit", "employee", "care_team", "care_team_member", "citizen", "episode_of_care", "assignment",
    "response", "draft_answer", "score", "interpretation", "access_log", "event",
)
LIBRARY_TABLES = ("questionnaire", "rule_set")

# An unset or empty setting must mean nobody: NULLIF turns it into NULL, and = ANY(NULL) is never true.
SEES = "= ANY (NULLIF(current_setting('kpro.municipalities', true), '')::integer[])"


def wall(table: str, column: str, read: str) -> str:
    return f"""
ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;
ALTER TABLE {table} FORCE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS municipality_read ON {table};
DROP POLICY IF EXISTS municipality_write ON {table};
CREATE POLICY municipality_read ON {table} FOR SELECT USING ({read});
CREATE POLICY municipality_write ON {table} FOR ALL USING ({column} {SEES}) WITH CHECK ({column} {SEES});
"""


WALLS = "".join(
    [
        wall("municipality", "id", f"id = 0 OR id {SEES}"),
        *(wall(table, "municipality_id", f"municipality_id {SEES}") for table in TENANT_TABLES),
        *(wall(table, "municipality_id", f"municipality_id = 0 OR municipality_id {SEES}") for table in LIBRARY_TABLES),
        """
-- The relay gives positions to events of every municipality, and touches nothing else.
DROP POLICY IF EXISTS relay_reads ON event;
DROP POLICY IF EXISTS relay_sequences ON event;
CREATE POLICY relay_reads ON event FOR SELECT TO kpro_relay USING (true);
CREATE POLICY relay_sequences ON event FOR UPDATE TO kpro_relay USING (true) WITH CHECK (true);
""",
    ]
)

IMMUTABILITY = """
CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% in % is immutable', TG_OP, TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;

CREATE OR REPLACE FUNCTION refuse_response_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- The one thing that may happen to a submitted response is that an amendment supersedes it.
    IF OLD.status <> 'in-progress' AND (
        TG_OP = 'DELETE' OR (to_jsonb(NEW) - 'superseded') IS DISTINCT FROM (to_jsonb(OLD) - 'superseded')
    ) THEN
        RAISE EXCEPTION 'a submitted response is immutable' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END $$;

CREATE OR REPLACE TRIGGER questionnaire_immutable BEFORE UPDATE ON questionnaire FOR EACH ROW
    WHEN (OLD.status <> 'draft' AND (OLD.url, OLD.version, OLD.name, OLD.title, OLD.title_en, OLD.content::text,
          OLD.content_hash, OLD.municipality_id, OLD.id) IS DISTINCT FROM (NEW.url, NEW.version, NEW.name, NEW.title,
          NEW.title_en, NEW.content::text, NEW.content_hash, NEW.municipality_id, NEW.id))
    EXECUTE FUNCTION refuse_change();
CREATE OR REPLACE TRIGGER questionnaire_no_way_back BEFORE UPDATE OF status ON questionnaire FOR EACH ROW
    WHEN ((OLD.status = 'active' AND NEW.status = 'draft') OR (OLD.status = 'retired' AND NEW.status <> 'retired'))
    EXECUTE FUNCTION refuse_change();
CREATE OR REPLACE TRIGGER questionnaire_kept BEFORE DELETE ON questionnaire FOR EACH ROW
    WHEN (OLD.status <> 'draft') EXECUTE FUNCTION refuse_change();
CREATE OR REPLACE TRIGGER rule_set_immutable BEFORE UPDATE ON rule_set FOR EACH ROW
    WHEN (OLD.status <> 'draft' AND (OLD.name, OLD.version, OLD.content::text, OLD.content_hash, OLD.questionnaire_id)
          IS DISTINCT FROM (NEW.name, NEW.version, NEW.content::text, NEW.content_hash, NEW.questionnaire_id))
    EXECUTE FUNCTION refuse_change();
CREATE OR REPLACE TRIGGER response_immutable BEFORE UPDATE OR DELETE ON response FOR EACH ROW
    EXECUTE FUNCTION refuse_response_change();
"""

GRANTS = """
GRANT USAGE ON SCHEMA public TO kpro_api, kpro_relay;
GRANT SELECT ON municipality TO kpro_api;
GRANT SELECT, INSERT ON person TO kpro_api;
GRANT SELECT, INSERT, UPDATE ON organisation_unit, employee, care_team, citizen, episode_of_care, questionnaire,
    rule_set, assignment, response TO kpro_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON care_team_member, draft_answer TO kpro_api;
GRANT DELETE ON response TO kpro_api;
GRANT SELECT, INSERT ON score, interpretation TO kpro_api;
GRANT UPDATE (superseded) ON score TO kpro_api;
-- Append-only: what was seen and what has happened can be added to, never altered.
GRANT SELECT, INSERT ON access_log TO kpro_api;
GRANT SELECT, INSERT ON event TO kpro_api;
GRANT SELECT ON event_head TO kpro_api;
GRANT SELECT ON event TO kpro_relay;
GRANT UPDATE (position) ON event TO kpro_relay;
GRANT SELECT, UPDATE ON event_head TO kpro_relay;
"""


class Migration(migrations.Migration):
    initial = True
    operations = [
        ops.RunSQL(TABLES, reverse_sql=""),
        ops.RunSQL(WALLS, reverse_sql=""),
        ops.RunSQL(IMMUTABILITY, reverse_sql=""),
        ops.RunSQL(GRANTS, reverse_sql=""),
    ]
