// The explorer: an operation is written or chosen, sent as somebody, and its answer or deliveries are shown.

import { faultsOf, operationsOf, piecesOf, readVariables, variablesFor } from "./documents.js";
import { SchemaBrowser } from "./schema.js";
import { follow, list, post } from "./transport.js";
import { language, say, speak } from "./words.js";

const MOST_DELIVERIES = 200;
const FIRST = "# Ctrl-Enter\nquery Me {\n  me { kind name roles municipality { code name } }\n}\n";

const $ = (id) => document.getElementById(id);
const page = Object.fromEntries(
  [
    "people", "person", "examples", "example", "token", "document", "variables", "variables-problem", "operations",
    "operation", "run", "stop", "status", "faults", "deliveries", "list", "copy", "result",
  ].map((id) => [id, $(id)]),
);
const browser = new SchemaBrowser($("browser"), $("trail"), $("search"));

let people = [];
let examples = [];
let shown = null;
let status = () => "";
let ending = null;
let asked = 0;

// --- What is asked

function operationAsked() {
  const found = operationsOf(page.document.value);
  return found.find(({ name }) => name === page.operation.value) ?? found[0];
}

function offerOperations() {
  const found = operationsOf(page.document.value);
  const before = page.operation.value;
  page.operations.hidden = found.length < 2;
  page.operation.replaceChildren(...found.map(({ kind, name }) => new Option(`${kind} ${name}`, name)));
  if (found.some(({ name }) => name === before)) page.operation.value = before;
}

function tellOfVariables() {
  const wrong = readVariables(page.variables.value) === null;
  page.variables.setAttribute("aria-invalid", String(wrong));
  page["variables-problem"].textContent = wrong ? say("variablesWrong") : "";
  return !wrong;
}

function chooseExample() {
  const chosen = examples[page.example.value];
  if (!chosen) return;
  // An id found before is likely to be wanted again under the same name.
  const given = { ...(readVariables(page.variables.value) ?? {}), ...(chosen.variables ?? {}) };
  page.document.value = chosen.document;
  offerOperations();
  const operation = operationAsked();
  page.variables.value = operation ? variablesFor(operation, given) : "";
  tellOfVariables();
}

function choosePerson() {
  page.token.value = people[page.person.value]?.token ?? "";
}

function offerPeople() {
  const before = page.person.value;
  const groups = new Map();
  people.forEach(({ name, municipality }, index) => {
    if (!groups.has(municipality)) {
      const group = document.createElement("optgroup");
      group.label = municipality;
      groups.set(municipality, group);
    }
    groups.get(municipality).append(new Option(`${name} · ${municipality}`, index));
  });
  page.person.replaceChildren(new Option(say("nobody"), ""), ...groups.values());
  page.person.value = before;
}

function offerExamples() {
  const before = page.example.value;
  page.example.replaceChildren(new Option(say("choose"), ""), ...examples.map(({ name }, index) => new Option(name, index)));
  page.example.value = before;
}

// --- What comes back

function tell(made) {
  status = made;
  page.status.textContent = made();
}

function show(answer) {
  shown = answer;
  page.copy.hidden = answer === null;
  page.copy.textContent = say("copy");
  page.result.replaceChildren(
    ...(answer === null ? [] : piecesOf(answer)).map(([kind, text]) => {
      if (!kind) return text;
      const piece = document.createElement("span");
      piece.className = kind;
      piece.textContent = text;
      return piece;
    }),
  );
  const faults = answer === null ? [] : faultsOf(answer);
  page.faults.hidden = faults.length === 0;
  page.faults.replaceChildren(
    ...faults.map(({ code, message, place }) => {
      const fault = document.createElement("li");
      const name = document.createElement("code");
      name.textContent = code;
      fault.append(name, ` ${message}`, place ? ` (${place})` : "");
      return fault;
    }),
  );
  return faults.length;
}

function running(yes) {
  page.run.disabled = yes;
  page.stop.hidden = !yes;
}

async function ask(payload) {
  const mine = (asked += 1);
  const began = performance.now();
  const control = new AbortController();
  ending = () => control.abort();
  running(true);
  tell(() => say("waiting"));
  try {
    const { status: code, answer } = await post(page.token.value.trim(), payload, control.signal);
    if (mine !== asked) return;
    const took = Math.round(performance.now() - began);
    const faults = show(answer);
    const said = answer === null ? ["notJson", code] : answer.errors?.length ? ["faults", took] : faults ? ["failed"] : ["done", took];
    tell(() => say(...said));
  } catch (error) {
    if (mine !== asked) return;
    show(null);
    tell(() => (error.name === "AbortError" ? "" : say("unreachable")));
  }
  running(false);
}

function listen(payload) {
  const mine = (asked += 1);
  let number = 0;
  running(true);
  page.list.replaceChildren();
  page.deliveries.hidden = false;
  tell(() => say("waiting"));
  ending = follow(page.token.value.trim(), payload, {
    opened: () => tell(() => say("listening", number)),
    heard: (answer) => {
      number += 1;
      const item = document.createElement("li");
      const button = document.createElement("button");
      button.type = "button";
      button.className = "small";
      button.textContent = `${new Date().toLocaleTimeString(language())}  ${summaryOf(answer)}`;
      button.addEventListener("click", () => show(answer));
      item.value = number;
      item.append(button);
      page.list.prepend(item);
      while (page.list.children.length > MOST_DELIVERIES) page.list.lastElementChild.remove();
      tell(() => say("listening", number));
      show(answer);
    },
    ended: (reason, detail) => {
      if (mine !== asked) return;
      if (reason === "errors") show({ errors: detail });
      tell(() => (reason === "errors" ? say("ended") : say(reason, detail)));
      running(false);
    },
  });
}

function summaryOf(answer) {
  const [first] = Object.values(answer.data ?? {});
  return [first?.type, first?.response?.id].filter(Boolean).join("  ") || (answer.errors?.[0]?.extensions?.code ?? "");
}

function run() {
  if (!tellOfVariables()) {
    page.variables.focus();
    return;
  }
  ending?.();
  page.deliveries.hidden = true;
  show(null);
  const operation = operationAsked();
  const payload = { query: page.document.value, variables: readVariables(page.variables.value) };
  if (operation?.name) payload.operationName = operation.name;
  if (operation?.kind === "subscription") listen(payload);
  else ask(payload);
}

// --- The page

function turnTo(wanted) {
  speak(wanted);
  try {
    localStorage.setItem("language", language());
  } catch {
    // A browser that keeps nothing asks again next time.
  }
  offerPeople();
  offerExamples();
  tellOfVariables();
  page.status.textContent = status();
  browser.show();
}

function remembered() {
  try {
    return localStorage.getItem("language") ?? "da";
  } catch {
    return "da";
  }
}

for (const button of document.querySelectorAll("[data-language]")) {
  button.addEventListener("click", () => turnTo(button.dataset.language));
}
page.run.addEventListener("click", run);
page.stop.addEventListener("click", () => ending?.());
page.person.addEventListener("change", choosePerson);
page.example.addEventListener("change", chooseExample);
page.document.addEventListener("input", offerOperations);
page.variables.addEventListener("input", tellOfVariables);
page.copy.addEventListener("click", async () => {
  await navigator.clipboard.writeText(JSON.stringify(shown, null, 2));
  page.copy.textContent = say("copied");
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !page.run.disabled) {
    event.preventDefault();
    run();
  }
});

page.document.value = FIRST;
turnTo(remembered());
offerOperations();
[people, examples] = await Promise.all([list("demo/tokens"), list("examples")]);
$("people").hidden = people.length === 0;
$("examples").hidden = examples.length === 0;
offerPeople();
offerExamples();
if (people.length) {
  page.person.value = "0";
  choosePerson();
}
await browser.load();
