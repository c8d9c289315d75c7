// What Mercurius and Yoga share: a pool, and one prepared statement for each relation, with columns chosen by hand.
import pg from "pg";

export const world = JSON.parse(process.env.BENCH_WORLD);

const text = (value) => value;
// Times, dates and numbers go out as PostgreSQL writes them; JSON is parsed where it is asked for.
const types = {
  getTypeParser(oid, format) {
    return [114, 3802, 1082, 1184, 1700].includes(oid) ? text : pg.types.getTypeParser(oid, format);
  },
};

export function connection(name) {
  return {
    host: world.host,
    port: world.port,
    database: world.database,
    user: "benchmark_peer",
    application_name: `bench-${name}`,
  };
}

export class Database {
  constructor(name) {
    this.options = connection(name);
    this.pool = new pg.Pool({ ...this.options, max: 6, types });
  }

  async rows(name, values) {
    return (await this.pool.query({ name, text: STATEMENTS[name], values })).rows;
  }

  async citizen(municipality, id) {
    return (await this.rows("citizen", [municipality, id]))[0] ?? null;
  }

  async careTeam(municipality, id) {
    return (await this.rows("careTeam", [municipality, id]))[0] ?? null;
  }

  async page(municipality, first) {
    return this.rows("page", [municipality, first]);
  }

  async submit(municipality, assignment, key) {
    return (await this.rows("submit", [municipality, assignment, key]))[0];
  }

  async announced(municipality, response) {
    const [row] = await this.rows("announced", [municipality, response]);
    const { url, edition, title, citizen, ...rest } = row;
    return { ...rest, questionnaire: { url, version: edition, title }, citizen: { id: citizen } };
  }

  worklists(teams, first) {
    return this.many("worklist", teams, [first]);
  }

  responses(citizens, first, answers) {
    return this.many(answers ? "responsesWithAnswers" : "responses", citizens, [first]);
  }

  latest(episodes) {
    return this.many("latest", episodes, []);
  }

  scores(responses) {
    return this.many("scores", responses, []);
  }

  citizens(keys) {
    return this.one("citizens", keys);
  }

  questionnaires(keys) {
    return this.one("questionnaires", keys);
  }

  // `parents` are pairs of municipality and id; the rows come back with the place of their parent.
  async many(name, parents, rest) {
    const rows = await this.rows(name, [parents.map((each) => each[0]), parents.map((each) => each[1]), ...rest]);
    const found = parents.map(() => []);
    for (const row of rows) found[row.place - 1].push(row);
    return found;
  }

  async one(name, keys) {
    // Many rows often share one of these; each is read once.
    const places = new Map();
    for (const [municipality, id] of keys) if (!places.has(id)) places.set(id, [municipality, id]);
    const asked = [...places.values()];
    const rows = await this.rows(name, [asked.map((each) => each[0]), asked.map((each) => each[1])]);
    const found = new Map(rows.map((row) => [row.id, row]));
    return keys.map(([, id]) => found.get(id) ?? null);
  }

  async listen(heard) {
    const client = new pg.Client(this.options);
    await client.connect();
    client.on("notification", async ({ payload }) => {
      const { municipality, response } = JSON.parse(payload);
      heard(await this.announced(municipality, response));
    });
    await client.query("LISTEN benchmark_event");
  }
}

const KEYS = "unnest($1::integer[], $2::uuid[]) WITH ORDINALITY k (municipality_id, id, place)";
const RESPONSE = `r.municipality_id, r.id, r.submitted_at AS "submittedAt", r.status, r.version, r.superseded, r.receipt,
  r.colour, r.questionnaire_owner, r.questionnaire_id, r.citizen_id`;
const responsesOf = (more) => `SELECT k.place::integer, r.* FROM ${KEYS} CROSS JOIN LATERAL (
  SELECT ${RESPONSE}${more} FROM response r
  WHERE r.municipality_id = k.municipality_id AND r.citizen_id = k.id AND r.submitted_at IS NOT NULL
  ORDER BY r.submitted_at DESC, r.id DESC LIMIT $3::integer) r ORDER BY k.place, r."submittedAt" DESC, r.id DESC`;
const STATEMENTS = {
  citizen: `SELECT municipality_id, id, display_name AS name, birth_date AS "birthDate" FROM citizen
    WHERE municipality_id = $1 AND id = $2`,
  careTeam: "SELECT municipality_id, id, name FROM care_team WHERE municipality_id = $1 AND id = $2",
  page: `SELECT ${RESPONSE} FROM response r WHERE r.municipality_id = $1 AND r.status = 'completed'
    ORDER BY r.submitted_at DESC, r.id DESC LIMIT $2`,
  submit: `SELECT r.id, r.status, r.version, r.submitted_at AS "submittedAt" FROM submit_response($1, $2, $3) r`,
  announced: `SELECT r.id, r.status, r.version, q.url, q.version AS edition, q.title, r.citizen_id AS citizen
    FROM response r JOIN questionnaire q ON q.municipality_id = r.questionnaire_owner AND q.id = r.questionnaire_id
    WHERE r.municipality_id = $1 AND r.id = $2`,
  worklist: `SELECT k.place::integer, e.* FROM ${KEYS} CROSS JOIN LATERAL (
    SELECT e.municipality_id, e.id, e.urgency, e.last_response_at AS "lastResponseAt", e.citizen_id
    FROM episode_of_care e
    WHERE e.municipality_id = k.municipality_id AND e.care_team_id = k.id AND e.status = 'active'
    ORDER BY e.urgency DESC, coalesce(e.last_response_at, e.started_at) DESC, e.id DESC LIMIT $3::integer) e
    ORDER BY k.place`,
  responses: responsesOf(""),
  responsesWithAnswers: responsesOf(", r.answers"),
  latest: `SELECT k.place::integer, r.* FROM ${KEYS} CROSS JOIN LATERAL (
    SELECT DISTINCT ON (r.questionnaire_url) ${RESPONSE} FROM response r
    WHERE r.municipality_id = k.municipality_id AND r.episode_id = k.id AND r.submitted_at IS NOT NULL
      AND NOT r.superseded
    ORDER BY r.questionnaire_url, r.submitted_at DESC, r.id DESC) r
    ORDER BY k.place, r."submittedAt" DESC, r.id DESC`,
  scores: `SELECT k.place::integer, s.code, s.label, s.value, s.minimum, s.maximum FROM ${KEYS}
    JOIN score s ON s.municipality_id = k.municipality_id AND s.response_id = k.id ORDER BY k.place, s.position`,
  citizens: `SELECT c.municipality_id, c.id, c.display_name AS name, c.birth_date AS "birthDate" FROM ${KEYS}
    JOIN citizen c ON c.municipality_id = k.municipality_id AND c.id = k.id`,
  questionnaires: `SELECT q.id, q.url, q.version, q.title FROM ${KEYS}
    JOIN questionnaire q ON q.municipality_id = k.municipality_id AND q.id = k.id`,
};

export const own = (row) => [row.municipality_id, row.id];
export const citizenOf = (row) => [row.municipality_id, row.citizen_id];
export const questionnaireOf = (row) => [row.questionnaire_owner, row.questionnaire_id];
export const parsed = (row) => JSON.parse(row.answers);

// Whether a list is asked for with its answers, whose column is the dearest.
const asking = new WeakMap();
export function asksFor(info, name) {
  const [node] = info.fieldNodes;
  let found = asking.get(node);
  if (found === undefined) {
    found = node.selectionSet.selections.some((each) => each.name?.value === name);
    asking.set(node, found);
  }
  return found;
}

export const schema = `
  type Query {
    citizen(municipality: Int!, id: ID!): Citizen
    careTeam(municipality: Int!, id: ID!): CareTeam
    responses(municipality: Int!, first: Int!): [Response!]!
  }
  type Mutation { submitResponse(municipality: Int!, assignment: ID!, key: String!): Submitted! }
  type Subscription { responseUpdates: Update! }
  type Submitted { response: Response! }
  type Update { response: Response }
  type CareTeam { name: String! worklist(first: Int!): [EpisodeOfCare!]! }
  type EpisodeOfCare { id: ID! urgency: Int! lastResponseAt: String citizen: Citizen latestResponses: [Response!]! }
  type Citizen { id: ID! name: String! birthDate: String! responses(first: Int!): [Response!]! }
  type Response {
    id: ID! submittedAt: String status: String! version: Int! superseded: Boolean! receipt: String colour: String
    answers: [Answer!]! scores: [Score!]! questionnaire: Questionnaire citizen: Citizen
  }
  type Answer { linkId: String! question: String! values: [AnswerValue!]! }
  type AnswerValue { kind: String! display: String! }
  type Score { code: String! label: String! value: String minimum: String maximum: String }
  type Questionnaire { url: String! version: String! title: String! }
`;
