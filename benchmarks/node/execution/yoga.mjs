// GraphQL Yoga with a DataLoader for each relation.
import { createServer } from "node:http";
import DataLoader from "dataloader";
import { useServer } from "graphql-ws/use/ws";
import { createPubSub, createSchema, createYoga } from "graphql-yoga";
import { WebSocketServer } from "ws";
import { Database, asksFor, citizenOf, own, parsed, questionnaireOf, schema } from "./database.mjs";

const database = new Database("yoga");
const pubsub = createPubSub();

function loaders() {
  return {
    worklists: new DataLoader((keys) => database.worklists(keys.map((key) => key.parent), keys[0].first)),
    latest: new DataLoader((keys) => database.latest(keys)),
    responses: new DataLoader((keys) =>
      database.responses(keys.map((key) => key.parent), keys[0].first, keys[0].answers),
    ),
    scores: new DataLoader((keys) => database.scores(keys)),
    citizens: new DataLoader((keys) => database.citizens(keys)),
    questionnaires: new DataLoader((keys) => database.questionnaires(keys)),
  };
}

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
  Subscription: { responseUpdates: { subscribe: () => pubsub.subscribe("updates"), resolve: (update) => update } },
  CareTeam: { worklist: (row, { first }, context) => context.worklists.load({ parent: own(row), first }) },
  EpisodeOfCare: {
    citizen: (row, _, context) => context.citizens.load(citizenOf(row)),
    latestResponses: (row, _, context) => context.latest.load(own(row)),
  },
  Citizen: {
    responses: (row, { first }, context, info) =>
      context.responses.load({ parent: own(row), first, answers: asksFor(info, "answers") }),
  },
  Response: {
    answers: parsed,
    scores: (row, _, context) => context.scores.load(own(row)),
    questionnaire: (row, _, context) => row.questionnaire ?? context.questionnaires.load(questionnaireOf(row)),
    citizen: (row, _, context) => row.citizen ?? context.citizens.load(citizenOf(row)),
  },
};
const yoga = createYoga({
  schema: createSchema({ typeDefs: schema, resolvers }),
  context: loaders,
  graphiql: false,
  logging: false,
  graphqlEndpoint: "/graphql",
});
const server = createServer(yoga);
useServer(
  {
    execute: (args) => args.rootValue.execute(args),
    subscribe: (args) => args.rootValue.subscribe(args),
    onSubscribe: async (ctx, _id, payload) => {
      const { schema, execute, subscribe, contextFactory, parse, validate } = yoga.getEnveloped({
        ...ctx,
        req: ctx.extra.request,
        socket: ctx.extra.socket,
        params: payload,
      });
      const args = {
        schema,
        operationName: payload.operationName,
        document: parse(payload.query),
        variableValues: payload.variables,
        contextValue: await contextFactory(),
        rootValue: { execute, subscribe },
      };
      const errors = validate(args.schema, args.document);
      return errors.length ? errors : args;
    },
  },
  new WebSocketServer({ server, path: "/graphql" }),
);
await database.listen((response) => pubsub.publish("updates", { response }));
server.listen(Number(process.argv[2]), "127.0.0.1");
