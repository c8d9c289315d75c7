// PostGraphile 5 over the tables as they are, with lists instead of connections and functions in the database.
import { createServer } from "node:http";
import { grafserv } from "postgraphile/grafserv/node";
import { postgraphile } from "postgraphile";
import { makePgService } from "postgraphile/adaptors/pg";
import { PostGraphileAmberPreset } from "postgraphile/presets/amber";
import { context, listen } from "postgraphile/grafast";
import { jsonParse } from "postgraphile/@dataplan/json";
import { extendSchema, gql, jsonPgSmartTags } from "postgraphile/utils";
import { connection } from "./database.mjs";

const Updates = extendSchema((build) => {
  const { response } = build.input.pgRegistry.pgResources;
  return {
    typeDefs: gql`
      extend type Subscription {
        responseUpdates: ResponseUpdate
      }
      type ResponseUpdate {
        response: Response
      }
    `,
    objects: {
      Subscription: {
        plans: {
          responseUpdates: {
            subscribePlan: () => listen(context().get("pgSubscriber"), "benchmark_event", jsonParse),
            plan: ($event) => $event,
          },
        },
      },
      ResponseUpdate: {
        plans: {
          response: ($event) =>
            response.get({ municipality_id: $event.get("municipality"), id: $event.get("response") }),
        },
      },
    },
  };
});
// The tables tie a response to its citizen through the episode; its author would say it directly.
const Relations = jsonPgSmartTags({
  version: 1,
  config: {
    class: {
      "public.response": { tags: { foreignKey: "(municipality_id, citizen_id) references citizen (municipality_id, id)" } },
    },
  },
});
const options = connection("postgraphile");
const preset = {
  extends: [PostGraphileAmberPreset],
  plugins: [Updates, Relations],
  // Every column may be asked by, as in the other servers, whether or not an index begins with it.
  disablePlugins: ["PgIndexBehaviorsPlugin"],
  schema: { pgSimpleCollections: "both", defaultBehavior: "+list +resource:list +orderBy:resource:column +condition" },
  pgServices: [
    makePgService({
      connectionString: `postgresql://benchmark_peer@/${options.database}?host=${encodeURIComponent(options.host)}&port=${options.port}&application_name=bench-postgraphile`,
      schemas: ["public"],
      poolConfig: { max: 6 },
      pubsub: true,
    }),
  ],
  grafserv: { graphqlPath: "/graphql", graphiql: false, websockets: true, watch: false },
  grafast: { explain: false },
};
const instance = postgraphile(preset);
const serving = instance.createServ(grafserv);
const server = createServer();
await serving.addTo(server);
server.listen(Number(process.argv[2]), "127.0.0.1");
if (process.env.BENCH_SCHEMA) console.log((await import("postgraphile/graphql")).printSchema(await instance.getSchema()));
