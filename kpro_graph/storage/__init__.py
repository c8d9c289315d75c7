"""PostgreSQL: the one database engine, embedded on a laptop or reached by URL in production."""
