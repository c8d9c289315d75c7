-- The product's database roles, for psql 15 or newer connected as a superuser to the product's database.
-- Passwords come from the environment: KPRO_OWNER_PASSWORD, KPRO_API_PASSWORD, KPRO_RELAY_PASSWORD.
-- Running it again sets the passwords anew and changes nothing else.
--
-- kpro_owner  owns the database and its tables; used by `kpro migrate` alone
-- kpro_api    reads and writes rows of the municipalities its session names; row-level security holds it
-- kpro_relay  gives committed events and lines of the access log their positions, in every municipality, and seals the
--             lines; it sees ids, actions and times, and neither citizens nor answers, and can change nothing else
--
-- None of them may be a superuser, bypass row-level security, or become a role that can: the API proves this of its own
-- role at every start and refuses to serve otherwise.

\set ON_ERROR_STOP on

\getenv owner_password KPRO_OWNER_PASSWORD
\getenv api_password KPRO_API_PASSWORD
\getenv relay_password KPRO_RELAY_PASSWORD

\if :{?owner_password} \else \set owner_password '' \endif
\if :{?api_password} \else \set api_password '' \endif
\if :{?relay_password} \else \set relay_password '' \endif

-- An empty password would let anybody in where the server trusts passwords; refuse it before anything is made.
SELECT least(length(:'owner_password'), length(:'api_password'), length(:'relay_password')) < 16 AS weak \gset
\if :weak
    DO $$ BEGIN
        RAISE EXCEPTION 'KPRO_OWNER_PASSWORD, KPRO_API_PASSWORD and KPRO_RELAY_PASSWORD need 16 characters or more';
    END $$;
\endif

-- Statements that hold a password are kept out of the server's log, also where it logs everything.
SET log_statement = 'none';
SET log_min_error_statement = 'panic';
SET log_min_duration_statement = -1;

SELECT format('CREATE ROLE %I', name) FROM unnest(ARRAY['kpro_owner', 'kpro_api', 'kpro_relay']) AS role (name)
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec

ALTER ROLE kpro_owner LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOCREATEDB NOREPLICATION PASSWORD :'owner_password';
ALTER ROLE kpro_api LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOCREATEDB NOREPLICATION PASSWORD :'api_password';
ALTER ROLE kpro_relay LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOCREATEDB NOREPLICATION PASSWORD :'relay_password';

-- The owner makes the tables; nobody else makes anything, and nobody unnamed connects.
SELECT format('ALTER DATABASE %I OWNER TO kpro_owner', current_database()) \gexec
SELECT format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database()) \gexec
SELECT format('GRANT CONNECT ON DATABASE %I TO kpro_api, kpro_relay', current_database()) \gexec
REVOKE ALL ON SCHEMA public FROM PUBLIC;
