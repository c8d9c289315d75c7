// How an operation reaches the API: one POST for a query or mutation, one socket for a subscription.

const ENDPOINT = new URL("graphql/", document.baseURI);

/** Send a query or mutation; return `{status, answer}`, where `answer` is null if it was no JSON. Raises TypeError offline. */
export async function post(token, payload, signal) {
  const response = await fetch(ENDPOINT, {
    method: "POST",
    headers: { "Content-Type": "application/json", Accept: "application/json", ...authorization(token) },
    body: JSON.stringify(payload),
    credentials: "omit",
    cache: "no-store",
    signal,
  });
  let answer = null;
  try {
    answer = await response.json();
  } catch {
    // A proxy's page, perhaps; the status is all there is to show.
  }
  return { status: response.status, answer: typeof answer === "object" ? answer : null };
}

/**
 * Follow a subscription over graphql-transport-ws; return a function that ends it.
 * `heard` gets each delivery; `ended` gets the reason once: "ended", "refused", "lost" with the close code, or errors.
 */
export function follow(token, payload, { opened, heard, ended }) {
  const address = new URL(ENDPOINT);
  address.protocol = address.protocol.replace("http", "ws");
  const socket = new WebSocket(address, "graphql-transport-ws");
  let over = false;
  const end = (reason, detail) => {
    if (over) return;
    over = true;
    socket.close(1000);
    ended(reason, detail);
  };
  const send = (message) => socket.send(JSON.stringify(message));
  socket.addEventListener("open", () => send({ type: "connection_init", payload: authorization(token) }));
  socket.addEventListener("message", ({ data }) => {
    const message = JSON.parse(data);
    if (over) return;
    if (message.type === "connection_ack") {
      send({ id: "1", type: "subscribe", payload });
      opened();
    } else if (message.type === "ping") send({ type: "pong" });
    else if (message.type === "next") heard(message.payload);
    else if (message.type === "error") end("errors", message.payload);
    else if (message.type === "complete") end("ended");
  });
  socket.addEventListener("close", ({ code }) => end([4401, 4403].includes(code) ? "refused" : "lost", code));
  return () => {
    if (!over && socket.readyState === WebSocket.OPEN) send({ id: "1", type: "complete" });
    end("ended");
  };
}

/** Return a JSON list from the server, or an empty one where there is none. */
export async function list(path) {
  try {
    const response = await fetch(new URL(path, document.baseURI), { credentials: "omit", cache: "no-store" });
    const found = response.ok ? await response.json() : [];
    return Array.isArray(found) ? found : [];
  } catch {
    return [];
  }
}

function authorization(token) {
  return token ? { Authorization: `Bearer ${token}` } : {};
}
