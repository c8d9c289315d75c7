// Mercurius with graphql-jit and its own loaders, tuned by hand.
import Fastify from "fastify";
import mercurius from "mercurius";
import { Database, asksFor, citizenOf, own, parsed, questionnaireOf, schema } from "./database.mjs";

const database = new Database("mercurius");
const app = Fastify();
const uncached = { opts: { cache: false } };

const resolvers = {
  Query: {
    citizen: (_, { municipality, id }) => database.citizen(municipality, id),
    careTeam: (_, { municipality, id }) => database.careTeam(municipality, id),
    responses: (_, { municipality, first }) => database.page(municipality, first),
  },
  Mutation: {
    submitResponse: async (_, { municipality, assignment, key }) => ({
      response: await database.submit(municipality, assignment, key),
    }),
  },
  Subscription: {
    responseUpdates: { subscribe: (_root, _arguments, { pubsub }) => pubsub.subscribe("updates") },
  },
  Response: { answers: parsed },
};
const loaders = {
  CareTeam: {
    worklist: { loader: (queries) => database.worklists(queries.map((each) => own(each.obj)), queries[0].params.first), ...uncached },
  },
  EpisodeOfCare: {
    citizen: { loader: (queries) => database.citizens(queries.map((each) => citizenOf(each.obj))), ...uncached },
    latestResponses: { loader: (queries) => database.latest(queries.map((each) => own(each.obj))), ...uncached },
  },
  Citizen: {
    responses: {
      loader: (queries) =>
        database.responses(
          queries.map((each) => own(each.obj)),
          queries[0].params.first,
          asksFor(queries[0].info, "answers"),
        ),
      ...uncached,
    },
  },
  Response: {
    scores: { loader: (queries) => database.scores(queries.map((each) => own(each.obj))), ...uncached },
    // What an update carries is at hand already.
    questionnaire: {
      loader: async (queries) =>
        queries[0].obj.questionnaire
          ? queries.map((each) => each.obj.questionnaire)
          : database.questionnaires(queries.map((each) => questionnaireOf(each.obj))),
      ...uncached,
    },
    citizen: {
      loader: async (queries) =>
        queries[0].obj.citizen
          ? queries.map((each) => each.obj.citizen)
          : database.citizens(queries.map((each) => citizenOf(each.obj))),
      ...uncached,
    },
  },
};
await app.register(mercurius, { schema, resolvers, loaders, jit: 1, subscription: true, path: "/graphql" });
await database.listen((response) =>
  app.graphql.pubsub.publish({ topic: "updates", payload: { responseUpdates: { response } } }),
);
await app.listen({ host: "127.0.0.1", port: Number(process.argv[2]) });
