-- What the benchmark adds to the database: a role that row-level security does not hold for, the functions that the
-- peers' authors would write, and indexes for lists and orders that the API itself does not have.
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'benchmark_peer') THEN
        CREATE ROLE benchmark_peer LOGIN BYPASSRLS;
    END IF;
END $$
-- next
GRANT USAGE ON SCHEMA public TO benchmark_peer
-- next
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO benchmark_peer
-- next
-- Nobody's statements are compiled or split among processes: neither pays for such short ones, and the CPU of helpers
-- could not be told apart.
ALTER SYSTEM SET jit = off
-- next
ALTER SYSTEM SET max_parallel_workers_per_gather = 0
-- next
ALTER SYSTEM SET autovacuum = off
-- next
SELECT pg_reload_conf()
-- next
CREATE INDEX IF NOT EXISTS benchmark_page ON response (municipality_id, submitted_at DESC, id DESC)
    WHERE status = 'completed'
-- next
-- PostGraphile orders a worklist by columns alone, and is given an index in that order.
CREATE INDEX IF NOT EXISTS benchmark_worklist ON episode_of_care
    (municipality_id, care_team_id, status, urgency DESC, last_response_at DESC, id DESC)
-- next
-- Not a table of the product's: no row of it belongs to a municipality, so nothing stands round it.
CREATE TABLE IF NOT EXISTS benchmark_template (
    questionnaire_id uuid PRIMARY KEY, held_in integer NOT NULL, response_id uuid NOT NULL
)
-- next
GRANT SELECT ON benchmark_template TO benchmark_peer
-- next
CREATE OR REPLACE FUNCTION episode_of_care_latest_responses(episode_of_care) RETURNS SETOF response
LANGUAGE sql STABLE AS $$
    SELECT latest.* FROM (
        SELECT DISTINCT ON (r.questionnaire_url) r.* FROM response r
        WHERE r.municipality_id = $1.municipality_id AND r.episode_id = $1.id
          AND r.submitted_at IS NOT NULL AND NOT r.superseded
        ORDER BY r.questionnaire_url, r.submitted_at DESC, r.id DESC
    ) latest
    ORDER BY latest.submitted_at DESC, latest.id DESC
$$
-- next
CREATE OR REPLACE FUNCTION submit_response(municipality integer, assignment uuid, key text) RETURNS response
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    asked assignment;
    made response;
    found response;
    colours text[];
    given json;
    moment timestamptz := clock_timestamp();
    team uuid;
BEGIN
    SELECT * INTO asked FROM assignment a
    WHERE a.municipality_id = submit_response.municipality AND a.id = submit_response.assignment FOR UPDATE;
    SELECT * INTO made FROM response r
    WHERE r.municipality_id = asked.municipality_id AND r.assignment_id = asked.id
      AND r.idempotency_key = submit_response.key;
    IF made.id IS NOT NULL THEN
        RETURN made;
    END IF;
    -- What the questionnaire engine would make of the draft's answers is taken from a response with the same ones.
    SELECT json_agg(d.answer) INTO given FROM draft_answer d JOIN response r
        ON d.municipality_id = r.municipality_id AND d.response_id = r.id
    WHERE r.municipality_id = asked.municipality_id AND r.assignment_id = asked.id AND r.status = 'in-progress';
    SELECT r.* INTO found FROM benchmark_template b JOIN response r
        ON r.municipality_id = b.held_in AND r.id = b.response_id
    WHERE b.questionnaire_id = asked.questionnaire_id;
    UPDATE response r SET status = 'completed', answers = found.answers, content_hash = found.content_hash,
        rule_set_id = found.rule_set_id, colour = found.colour, submitted_at = moment,
        receipt = upper(substr(md5(random()::text), 1, 12)), idempotency_key = submit_response.key
    WHERE r.municipality_id = asked.municipality_id AND r.assignment_id = asked.id AND r.status = 'in-progress'
    RETURNING * INTO made;
    INSERT INTO score (municipality_id, id, response_id, citizen_id, questionnaire_url, code, position, label, label_en,
                       value, unit, minimum, maximum, explanation, submitted_at)
    SELECT made.municipality_id, gen_random_uuid(), made.id, made.citizen_id, made.questionnaire_url, s.code, s.position,
           s.label, s.label_en, s.value, s.unit, s.minimum, s.maximum, s.explanation, moment
    FROM score s WHERE s.municipality_id = found.municipality_id AND s.response_id = found.id;
    INSERT INTO interpretation (municipality_id, id, response_id, citizen_id, position, subject, topic, topic_en, label,
                                label_en, colour, meaning, word, word_en, icon, reason, reason_en, explanation)
    SELECT made.municipality_id, gen_random_uuid(), made.id, made.citizen_id, i.position, i.subject, i.topic, i.topic_en,
           i.label, i.label_en, i.colour, i.meaning, i.word, i.word_en, i.icon, i.reason, i.reason_en, i.explanation
    FROM interpretation i WHERE i.municipality_id = found.municipality_id AND i.response_id = found.id;
    DELETE FROM draft_answer d WHERE d.municipality_id = made.municipality_id AND d.response_id = made.id;
    UPDATE assignment a SET status = 'completed', completed_at = moment
    WHERE a.municipality_id = asked.municipality_id AND a.id = asked.id;
    PERFORM FROM episode_of_care e WHERE e.municipality_id = made.municipality_id AND e.id = made.episode_id FOR UPDATE;
    SELECT array_agg(latest.colour) INTO colours FROM (
        SELECT DISTINCT ON (r.questionnaire_url) r.colour FROM response r
        WHERE r.municipality_id = made.municipality_id AND r.episode_id = made.episode_id
          AND r.submitted_at IS NOT NULL AND NOT r.superseded
        ORDER BY r.questionnaire_url, r.submitted_at DESC, r.id DESC
    ) latest;
    UPDATE episode_of_care e SET last_response_at = moment, urgency =
        CASE WHEN 'red' = ANY(colours) THEN 3 WHEN 'yellow' = ANY(colours) THEN 2 WHEN 'green' = ANY(colours) THEN 1
        ELSE 0 END
    WHERE e.municipality_id = made.municipality_id AND e.id = made.episode_id
    RETURNING e.care_team_id INTO team;
    INSERT INTO event (municipality_id, id, type, citizen_id, care_team_id, subject_type, subject_id, subject_version)
    VALUES (made.municipality_id, gen_random_uuid(), 'response.submitted', made.citizen_id, team,
            'QuestionnaireResponse', made.id, made.version);
    INSERT INTO access_log (municipality_id, id, operation_id, operation, action, citizen_id, actor_kind, actor_id, roles,
                            purpose, override, fields_seen, questionnaires, trace_id, viewers, protected)
    VALUES (made.municipality_id, gen_random_uuid(), gen_random_uuid(), 'SubmitResponse', 'create', made.citizen_id,
            'citizen', made.author_id, '', 'own', false, 'answers colours scores', '{}', '', '{}', false);
    PERFORM pg_notify('kpro_recorded', '');
    RETURN made;
END $$
