"""A worklist's first page is read from an index in its order, and what guardians may not see is found by one."""

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
"""


class Migration(migrations.Migration):
    dependencies = [("kpro", "m0007_rights")]
    operations = [ops.RunSQL(INDEXES, reverse_sql="")]
