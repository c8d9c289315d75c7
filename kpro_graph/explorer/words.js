// What the page says, Danish first; the page is whole in either language.

const WORDS = {
  skip: ["Gå til forespørgslen", "Go to the operation"],
  tagline: ["Kommunal PRO som GraphQL", "Kommunal PRO as GraphQL"],
  ask: ["Spørg", "Ask"],
  person: ["Hvem er du?", "Who are you?"],
  nobody: ["Ingen", "Nobody"],
  example: ["Eksempel", "Example"],
  choose: ["Vælg …", "Choose …"],
  token: ["Adgangstoken", "Bearer token"],
  tokenNote: ["Sendes kun til denne adresse og gemmes ikke.", "Sent to this address only, and not kept."],
  document: ["Forespørgsel", "Operation"],
  keys: [
    "Ctrl-Enter sender. Tab går videre til næste felt.",
    "Ctrl-Enter sends. Tab goes on to the next field.",
  ],
  variables: ["Variable (JSON)", "Variables (JSON)"],
  variablesWrong: ["Variablene er ikke et JSON-objekt.", "The variables are not a JSON object."],
  operation: ["Operation", "Operation to run"],
  run: ["Send", "Send"],
  stop: ["Stop", "Stop"],
  answer: ["Svar", "Answer"],
  waiting: ["Venter på svar …", "Waiting for the answer …"],
  done: ["Svar på {n} ms", "Answered in {n} ms"],
  faults: ["Svar med fejl på {n} ms", "Answered with errors in {n} ms"],
  failed: ["Mislykket: ændringen blev ikke gennemført", "Failed: the change was not made"],
  unreachable: ["Serveren svarer ikke.", "The server does not answer."],
  notJson: ["Serveren svarede {n} uden JSON.", "The server answered {n} without JSON."],
  listening: ["Lytter. Leverancer: {n}", "Listening. Deliveries: {n}"],
  ended: ["Abonnementet er slut.", "The subscription has ended."],
  refused: ["Forbindelsen blev afvist. Er tokenet gyldigt?", "The connection was refused. Is the token valid?"],
  lost: ["Forbindelsen blev afbrudt ({n}).", "The connection was lost ({n})."],
  deliveries: ["Leverancer", "Deliveries"],
  copy: ["Kopiér", "Copy"],
  copied: ["Kopieret", "Copied"],
  schema: ["Skema", "Schema"],
  search: ["Søg efter type eller felt", "Search for a type or field"],
  start: ["Start", "Start"],
  fields: ["Felter", "Fields"],
  values: ["Værdier", "Values"],
  members: ["Kan være", "Can be"],
  implements: ["Er også", "Is also"],
  types: ["Typer", "Types"],
  deprecated: ["Udgår:", "Deprecated:"],
  noSchema: ["Skemaet kan ikke hentes.", "The schema cannot be fetched."],
  nothing: ["Intet fundet.", "Nothing found."],
};

const LANGUAGES = ["da", "en"];
let chosen = 0;

/** Return the language in use, `da` or `en`. */
export function language() {
  return LANGUAGES[chosen];
}

/** Return a sentence in the language in use; `{n}` in it becomes the number. */
export function say(name, number = "") {
  return WORDS[name][chosen].replace("{n}", String(number));
}

/** Say everything on the page in that language. */
export function speak(wanted) {
  chosen = Math.max(0, LANGUAGES.indexOf(wanted));
  document.documentElement.lang = language();
  for (const element of document.querySelectorAll("[data-word]")) {
    element.textContent = say(element.dataset.word);
  }
  for (const button of document.querySelectorAll("[data-language]")) {
    button.setAttribute("aria-pressed", String(button.dataset.language === language()));
  }
}
