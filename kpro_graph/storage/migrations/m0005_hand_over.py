"""Hand-over: where rows were made before they were handed over, what was moved, and who may decide what."""

from tortoise import migrations
from tortoise.migrations import operations as ops

from kpro_graph.storage.migrations.m0001_foundation import SEES

TABLES = """
-- The municipality a row was made in, where that is another than the one that holds it. Employees are not taken along:
-- the row then names whoever accepted the hand-over.
ALTER TABLE episode_of_care ADD COLUMN IF NOT EXISTS origin integer REFERENCES municipality;
ALTER TABLE consent ADD COLUMN IF NOT EXISTS origin integer REFERENCES municipality;
ALTER TABLE assignment ADD COLUMN IF NOT EXISTS origin integer REFERENCES municipality;
ALTER TABLE response ADD COLUMN IF NOT EXISTS origin integer REFERENCES municipality;

ALTER TABLE hand_over ADD COLUMN IF NOT EXISTS episodes integer;
ALTER TABLE hand_over ADD COLUMN IF NOT EXISTS responses integer;
ALTER TABLE hand_over ADD COLUMN IF NOT EXISTS revoked integer;
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_constraint WHERE conname = 'hand_over_moved') THEN
        ALTER TABLE hand_over ADD CONSTRAINT hand_over_moved CHECK (
            (status = 'accepted') = (episodes IS NOT NULL)
            AND (episodes IS NULL) = (responses IS NULL) AND (episodes IS NULL) = (revoked IS NULL));
    END IF;
END $$;
"""

# An offer is made and withdrawn by one side, accepted or declined by the other, and decided once.
WALLS = f"""
DROP POLICY IF EXISTS municipality_write ON hand_over;
DROP POLICY IF EXISTS giver_offers ON hand_over;
DROP POLICY IF EXISTS giver_withdraws ON hand_over;
DROP POLICY IF EXISTS receiver_decides ON hand_over;
CREATE POLICY giver_offers ON hand_over FOR INSERT
    WITH CHECK (municipality_id {SEES} AND status = 'offered');
CREATE POLICY giver_withdraws ON hand_over FOR UPDATE
    USING (municipality_id {SEES} AND status = 'offered')
    WITH CHECK (municipality_id {SEES} AND status = 'withdrawn');
CREATE POLICY receiver_decides ON hand_over FOR UPDATE
    USING (to_municipality_id {SEES} AND status = 'offered')
    WITH CHECK (to_municipality_id {SEES} AND status IN ('accepted', 'declined'));
"""

GRANTS = """
GRANT UPDATE (episodes, responses, revoked) ON hand_over TO kpro_api;
"""


class Migration(migrations.Migration):
    dependencies = [("kpro", "m0004_sessions")]
    operations = [
        ops.RunSQL(TABLES, reverse_sql=""),
        ops.RunSQL(WALLS, reverse_sql=""),
        ops.RunSQL(GRANTS, reverse_sql=""),
    ]
