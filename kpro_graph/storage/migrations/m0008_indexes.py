"""A worklist's first page is read in order from an index, and looking at a citizen's record writes nothing to it."""

from tortoise import migrations
from tortoise.migrations import operations as ops

INDEXES = """
CREATE INDEX IF NOT EXISTS episode_of_care_urgent ON episode_of_care
    (municipality_id, care_team_id, status, urgency DESC, (coalesce(last_response_at, started_at)) DESC, id DESC);
CREATE INDEX IF NOT EXISTS episode_of_care_latest ON episode_of_care
    (municipality_id, care_team_id, status, (coalesce(last_response_at, started_at)) DESC, id DESC);
CREATE INDEX IF NOT EXISTS episode_of_care_hidden ON episode_of_care (municipality_id, citizen_id)
    WHERE hidden_from_guardians;
DROP INDEX IF EXISTS episode_of_care_worklist;

-- A line is made of a row that was just read. Asking for that row once more would lock it, and so write to a citizen's
-- record each time somebody looks at it.
ALTER TABLE access_log DROP CONSTRAINT IF EXISTS access_log_subject;
"""


class Migration(migrations.Migration):
    dependencies = [("kpro", "m0007_rights")]
    operations = [ops.RunSQL(INDEXES, reverse_sql="")]
