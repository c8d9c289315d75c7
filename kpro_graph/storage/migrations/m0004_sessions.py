"""Sessions of browsers, and what is accepted once."""

from tortoise import migrations
from tortoise.migrations import operations as ops

TABLES = """
-- Outside the tenants: a session is found by its token alone, and everything about whose it is is sealed.
CREATE TABLE IF NOT EXISTS sign_in_session (
    id uuid PRIMARY KEY,
    token_hash bytea NOT NULL UNIQUE CHECK (length(token_hash) = 32),
    provider text NOT NULL,
    subject_index bytea NOT NULL,
    provider_session_index bytea,
    sealed bytea NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL CHECK (expires_at > started_at)
);
CREATE INDEX IF NOT EXISTS sign_in_session_subject ON sign_in_session (provider, subject_index);
CREATE INDEX IF NOT EXISTS sign_in_session_provider ON sign_in_session (provider, provider_session_index);
CREATE INDEX IF NOT EXISTS sign_in_session_expiry ON sign_in_session (expires_at);

CREATE TABLE IF NOT EXISTS spent_token (
    id uuid PRIMARY KEY,
    expires_at timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS spent_token_expiry ON spent_token (expires_at);
"""

GRANTS = """
-- A session is never changed, only seen and ended: whom it stands for, and for how long, is settled when it begins.
GRANT SELECT, INSERT, DELETE ON sign_in_session, spent_token TO kpro_api;
GRANT UPDATE (seen_at) ON sign_in_session TO kpro_api;
"""


class Migration(migrations.Migration):
    dependencies = [("kpro", "m0003_access_log")]
    operations = [ops.RunSQL(TABLES, reverse_sql=""), ops.RunSQL(GRANTS, reverse_sql="")]
