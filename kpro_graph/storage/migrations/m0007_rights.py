"""Whoever listens is told when what somebody may has changed."""

from tortoise import migrations
from tortoise.migrations import operations as ops

# What `identity` makes an actor of. Sessions tell when they end; that they are used changes nothing.
CHANGES = {
    "employee": "INSERT OR UPDATE OR DELETE",
    "organisation_unit": "INSERT OR UPDATE OR DELETE",
    "care_team": "INSERT OR UPDATE OR DELETE",
    "care_team_member": "INSERT OR UPDATE OR DELETE",
    "representation": "INSERT OR UPDATE OR DELETE",
    "emergency_access": "INSERT OR UPDATE OR DELETE",
    "sign_in_session": "DELETE",
}

TRIGGERS = """
CREATE OR REPLACE FUNCTION tell_of_rights() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('kpro_rights', '');
    RETURN NULL;
END $$;
""" + "".join(
    f"""
CREATE OR REPLACE TRIGGER {table}_rights AFTER {changes} ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION tell_of_rights();
"""
    for table, changes in CHANGES.items()
)


class Migration(migrations.Migration):
    dependencies = [("kpro", "m0006_reception")]
    operations = [ops.RunSQL(TRIGGERS, reverse_sql="")]
