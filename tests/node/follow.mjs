// Follow responseUpdates with the graphql-ws client and print each delivery as a line of JSON.
// Arguments: the socket's address, a bearer token, how many deliveries to wait for.
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';

const [address, token, count] = process.argv.slice(2);
const client = createClient({
  url: address,
  webSocketImpl: WebSocket,
  connectionParams: { Authorization: `Bearer ${token}` },
  retryAttempts: 0,
});
const updates = client.iterate({
  query: 'subscription { responseUpdates { cursor type response { id status } } }',
});
console.log(JSON.stringify({ following: true }));
let delivered = 0;
for await (const update of updates) {
  console.log(JSON.stringify(update));
  if (++delivered === Number(count)) break;
}
await client.dispose();
