"""The steps from an empty database to the present one, run in order by Tortoise and written in SQL."""
