// GraphQL documents and JSON answers as text: what operations there are, what variables they take, how an answer is shown.
// Nothing here touches the page, so that it can be tried out of it.

const NOISE = /"""[\s\S]*?"""|"(?:[^"\\\n]|\\.)*"|#[^\n]*/g;

/** Return `{kind, name, variables}` for each operation, `variables` as `[{name, type, required}]`. */
export function operationsOf(text) {
  // Strings and comments may hold anything that looks like an operation; they are made blank, character by character.
  const bare = text.replace(NOISE, (found) => found.replace(/[^\n]/g, " "));
  const found = [];
  let depth = 0;
  let from = 0;
  for (let at = 0; at < bare.length; at += 1) {
    if (bare[at] === "{") {
      if (depth === 0) found.push(...headOf(bare.slice(from, at)));
      depth += 1;
    } else if (bare[at] === "}") {
      depth -= 1;
      from = at + 1;
    } else if (bare[at] === "(" && depth === 0) {
      // A default value may hold braces of its own.
      at = closing(bare, at);
    }
  }
  return found;
}

function closing(text, from) {
  let depth = 0;
  for (let at = from; at < text.length; at += 1) {
    if ("({[".includes(text[at])) depth += 1;
    if (")}]".includes(text[at])) depth -= 1;
    if (depth === 0) return at;
  }
  return text.length;
}

function headOf(text) {
  const head = text.trim();
  if (head === "") return [{ kind: "query", name: "", variables: [] }];
  const match = /^(query|mutation|subscription)\b\s*([_A-Za-z]\w*)?/.exec(head);
  if (!match) return [];
  const variables = [...head.matchAll(/\$(\w+)\s*:\s*([[\]!\w\s]+?)(?=\s*(?:[=@,)$]|$))/g)].map(([all, name, type], index, every) => {
    const rest = head.slice(every[index].index + all.length).trimStart();
    return { name, type: type.replace(/\s/g, ""), required: type.trim().endsWith("!") && !rest.startsWith("=") };
  });
  return [{ kind: match[1], name: match[2] ?? "", variables }];
}

/** Return JSON with a place for each variable: those already given keep their values, required ones come empty. */
export function variablesFor(operation, given = {}) {
  const made = {};
  for (const { name, type, required } of operation.variables) {
    if (name in given) made[name] = given[name];
    else if (required) made[name] = emptyOf(type);
  }
  return Object.keys(made).length ? JSON.stringify(made, null, 2) : "";
}

function emptyOf(type) {
  if (type.startsWith("[")) return [];
  return { Int: 0, Float: 0, Boolean: false }[type.replace("!", "")] ?? "";
}

/** Return the variables, `{}` for an empty text, and null where the text is no JSON object. */
export function readVariables(text) {
  if (text.trim() === "") return {};
  try {
    const value = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? value : null;
  } catch {
    return null;
  }
}

/** Return an answer as `[class, text]` pieces of indented JSON; what is under a top-level `errors` has the class `e`. */
export function piecesOf(answer) {
  const pieces = [];
  const write = (value, indent, fault) => {
    const inner = `${indent}  `;
    if (Array.isArray(value) && value.length) {
      pieces.push(["", "[\n"]);
      value.forEach((each, index) => {
        pieces.push(["", inner]);
        write(each, inner, fault);
        pieces.push(["", index < value.length - 1 ? ",\n" : `\n${indent}`]);
      });
      pieces.push(["", "]"]);
    } else if (typeof value === "object" && value !== null && Object.keys(value).length && !Array.isArray(value)) {
      pieces.push(["", "{\n"]);
      Object.entries(value).forEach(([key, each], index, every) => {
        const under = fault || (indent === "" && key === "errors");
        pieces.push(["", inner], [under ? "e" : "k", JSON.stringify(key)], ["", ": "]);
        write(each, inner, under);
        pieces.push(["", index < every.length - 1 ? ",\n" : `\n${indent}`]);
      });
      pieces.push(["", "}"]);
    } else {
      const kind = { string: "s", number: "n", boolean: "w" }[typeof value] ?? (value === null ? "w" : "");
      pieces.push([fault && kind === "s" ? "e" : kind, JSON.stringify(value)]);
    }
  };
  write(answer, "", false);
  return pieces;
}

/** Return the answer's errors and expected failures as `{code, message, place}`. */
export function faultsOf(answer) {
  const faults = (answer.errors ?? []).map((error) => ({
    code: error.extensions?.code ?? "",
    message: error.message ?? "",
    place: [
      error.path?.join("."),
      error.extensions?.argument,
      error.locations?.map((at) => `${at.line}:${at.column}`).join(" "),
      error.extensions?.reference,
    ].filter(Boolean).join(" · "),
  }));
  for (const [name, value] of Object.entries(answer.data ?? {})) {
    // A member of a mutation's union that carries a code says why nothing was stored.
    if (value && typeof value.code === "string" && typeof value.message === "string") {
      faults.push({ code: value.code, message: value.message, place: [name, value.path].filter(Boolean).join(" · ") });
    }
  }
  return faults;
}
