// The schema browser: types and fields with their descriptions, one click from each to the next.

import { post } from "./transport.js";
import { say } from "./words.js";

const TYPE = "kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name } } } }";
const ARGUMENTS = `name description defaultValue type { ${TYPE} }`;
const INTROSPECTION = `query Schema { __schema {
  queryType { name } mutationType { name } subscriptionType { name }
  types {
    kind name description
    fields(includeDeprecated: true) { name description deprecationReason type { ${TYPE} } args { ${ARGUMENTS} } }
    inputFields { ${ARGUMENTS} }
    interfaces { name }
    possibleTypes { name }
    enumValues(includeDeprecated: true) { name description deprecationReason }
  }
} }`;

/** Shows a schema in a browser element, with the way there in a trail element. */
export class SchemaBrowser {
  constructor(browser, trail, search) {
    this.browser = browser;
    this.trail = trail;
    this.search = search;
    this.types = new Map();
    this.roots = [];
    this.way = [];
    this.missing = false;
    search.addEventListener("input", () => this.show());
  }

  /** Fetch the schema and show its beginning. */
  async load() {
    try {
      const { answer } = await post("", { query: INTROSPECTION });
      const schema = answer.data.__schema;
      this.types = new Map(schema.types.map((type) => [type.name, type]));
      this.roots = [schema.queryType, schema.mutationType, schema.subscriptionType].filter(Boolean).map(({ name }) => name);
    } catch {
      this.missing = true;
    }
    this.show();
  }

  /** Show where one is, in the language of the moment. */
  show() {
    this.browser.replaceChildren();
    this.trail.replaceChildren();
    if (this.missing) {
      this.browser.append(paragraph(say("noSchema")));
      return;
    }
    const sought = this.search.value.trim().toLowerCase();
    if (sought) {
      this.showFound(sought);
      return;
    }
    const steps = [["", say("start")], ...this.way.map((name) => [name, name])];
    steps.forEach(([name, label], index) => {
      const button = linkTo(label, () => this.go(name, index));
      if (index === steps.length - 1) button.setAttribute("aria-current", "page");
      this.trail.append(...(index ? [" › "] : []), button);
    });
    const here = this.types.get(this.way.at(-1));
    if (here) this.showType(here);
    else this.showStart();
  }

  /** Go to a type; `depth` is how much of the way there is kept. */
  go(name, depth = this.way.length) {
    this.search.value = "";
    const kept = this.way.slice(0, depth);
    if (!name) this.way = [];
    else this.way = kept.at(-1) === name ? kept : [...kept, name];
    this.show();
    this.browser.scrollTop = 0;
    this.browser.focus({ preventScroll: true });
  }

  showStart() {
    const rest = [...this.types.values()]
      .filter((type) => !type.name.startsWith("__") && !this.roots.includes(type.name))
      .sort((a, b) => a.name.localeCompare(b.name));
    this.browser.append(
      this.listed(this.roots.map((name) => this.types.get(name))),
      heading(say("types")),
      this.listed(rest),
    );
  }

  showFound(sought) {
    const found = [];
    for (const type of this.types.values()) {
      if (type.name.startsWith("__")) continue;
      if (type.name.toLowerCase().includes(sought)) found.push({ type });
      for (const field of [...(type.fields ?? []), ...(type.inputFields ?? [])]) {
        if (field.name.toLowerCase().includes(sought)) found.push({ type, field });
      }
    }
    if (!found.length) this.browser.append(paragraph(say("nothing")));
    const list = document.createElement("dl");
    for (const { type, field } of found.slice(0, 100)) {
      const term = document.createElement("dt");
      term.append(linkTo(field ? `${type.name}.${field.name}` : type.name, () => this.go(type.name, 0)));
      list.append(term, described((field ?? type).description));
    }
    this.browser.append(list);
  }

  showType(type) {
    const kind = document.createElement("p");
    kind.className = "kind";
    kind.textContent = type.kind.toLowerCase().replace("_", " ");
    this.browser.append(heading(type.name), kind);
    if (type.description) this.browser.append(paragraph(type.description));
    const fields = type.fields ?? type.inputFields ?? [];
    if (fields.length) this.browser.append(heading(say("fields")), this.fieldsOf(fields));
    if (type.enumValues?.length) {
      const list = document.createElement("dl");
      for (const value of type.enumValues) {
        const term = document.createElement("dt");
        term.textContent = value.name;
        list.append(term, described(value.description, value.deprecationReason));
      }
      this.browser.append(heading(say("values")), list);
    }
    this.named(say("members"), type.possibleTypes);
    this.named(say("implements"), type.interfaces);
  }

  named(title, types) {
    if (types?.length) this.browser.append(heading(title), this.listed(types.map(({ name }) => this.types.get(name))));
  }

  listed(types) {
    const list = document.createElement("dl");
    for (const type of types) {
      const term = document.createElement("dt");
      term.append(linkTo(type.name, () => this.go(type.name)));
      list.append(term, described(type.description));
    }
    return list;
  }

  fieldsOf(fields) {
    const list = document.createElement("dl");
    for (const field of fields) {
      const term = document.createElement("dt");
      term.append(field.name, ": ", ...this.typeOf(field.type));
      if (field.defaultValue != null) term.append(` = ${field.defaultValue}`);
      const about = described(field.description, field.deprecationReason);
      if (field.args?.length) about.append(this.fieldsOf(field.args));
      list.append(term, about);
    }
    return list;
  }

  typeOf(type) {
    if (type.kind === "NON_NULL") return [...this.typeOf(type.ofType), "!"];
    if (type.kind === "LIST") return ["[", ...this.typeOf(type.ofType), "]"];
    return [linkTo(type.name, () => this.go(type.name))];
  }
}

function linkTo(label, act) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "link";
  button.textContent = label;
  button.addEventListener("click", act);
  return button;
}

function heading(text) {
  const made = document.createElement("h3");
  made.textContent = text;
  return made;
}

function paragraph(text) {
  const made = document.createElement("p");
  made.textContent = text;
  return made;
}

function described(text, deprecation) {
  const made = document.createElement("dd");
  made.textContent = text ?? "";
  if (deprecation) made.append(" ", say("deprecated"), " ", deprecation);
  return made;
}
