// What npm packages make of the same questionnaires, answers and expressions, and how long they take.
//
// Reads one JSON object of tasks from standard input and writes one JSON object of results: for each task what came out,
// and the median of the times in milliseconds. What can be prepared beforehand (parsing, compiling) is prepared.

import fs from 'node:fs';
import { createRequire } from 'node:module';

import { populate } from '@aehrc/sdc-populate';
import fhirpath from 'fhirpath';
import r4 from 'fhirpath/fhir-context/r4/index.js';
import { JSDOM, VirtualConsole } from 'jsdom';

const require = createRequire(import.meta.url);

function middle(times) {
  const sorted = [...times].sort((one, other) => one - other);
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

// The engine of JavaScript becomes faster while it runs: what it has not warmed up to is not measured.
async function time(run, times, warming) {
  let result;
  for (let turn = 0; turn < warming; turn += 1) result = await run();
  const taken = [];
  for (let turn = 0; turn < times; turn += 1) {
    const started = performance.now();
    result = await run();
    taken.push(performance.now() - started);
  }
  return { result, ms: middle(taken) };
}

async function evaluateExpressions({ questionnaire, response, expressions, times }) {
  const found = {};
  for (const [name, text] of Object.entries(expressions)) {
    const compiled = fhirpath.compile(text, r4);
    const { result, ms } = await time(
      () => compiled(response, { resource: response, context: response, questionnaire }),
      times,
      20,
    );
    found[name] = { result, ms };
  }
  return found;
}

async function fillIn({ questionnaire, patient, times }) {
  const subject = { name: 'subject', valueReference: { reference: 'Patient/1' } };
  const context = {
    name: 'context',
    part: [{ name: 'name', valueString: 'patient' }, { name: 'content', resource: patient }],
  };
  const parameters = {
    resourceType: 'Parameters',
    parameter: [{ name: 'questionnaire', resource: questionnaire }, subject, context, { name: 'local', valueBoolean: true }],
  };
  const nothing = async () => {
    throw new Error('nothing is fetched');
  };
  const once = async () => {
    const output = await populate(structuredClone(parameters), nothing, {});
    return output.parameter.find((each) => each.name === 'response').resource;
  };
  return time(once, times, 10);
}

// lforms is made for a browser: it runs in a document without a screen.
function openForms() {
  const dom = new JSDOM('<!doctype html><html><body></body></html>', {
    runScripts: 'outside-only',
    pretendToBeVisual: true,
    virtualConsole: new VirtualConsole(),
    url: 'http://localhost/',
  });
  const { window } = dom;
  const deaf = { matches: false, addListener() {}, removeListener() {}, addEventListener() {}, removeEventListener() {} };
  window.matchMedia ??= () => deaf;
  const folder = require.resolve('lforms/package.json').replace(/package\.json$/, 'dist/lforms/');
  for (const part of ['webcomponent/assets/lib/zone.min.js', 'webcomponent/lhc-forms.js', 'fhir/R4/lformsFHIR.min.js']) {
    window.eval(fs.readFileSync(folder + part, 'utf8'));
  }
  return window;
}

async function calculateForm({ questionnaire, response, times }) {
  const window = openForms();
  const { LForms } = window;
  window.given = JSON.stringify({ questionnaire, response });
  const prepare = () => {
    const given = window.eval('JSON.parse(given)');
    return { response: given.response, form: LForms.Util.convertFHIRQuestionnaireToLForms(given.questionnaire, 'R4') };
  };
  const taken = [];
  let answered;
  for (let turn = 0; turn < times + 5; turn += 1) {
    const prepared = prepare();
    const started = performance.now();
    const merged = LForms.Util.mergeFHIRDataIntoLForms('QuestionnaireResponse', prepared.response, prepared.form, 'R4');
    const form = new LForms.LFormsData(merged);
    // A response that was saved without its totals counts as one whose totals somebody has deleted.
    form.hasSavedData = false;
    await form._expressionProcessor.runCalculations(true);
    const errors = form.checkValidity();
    answered = LForms.FHIR.R4.SDC.convertLFormsToQuestionnaireResponse(form);
    const ended = performance.now();
    if (errors) throw new Error(`lforms finds errors: ${errors.slice(0, 3)}`);
    if (turn >= 5) taken.push(ended - started);
  }
  return { result: answered, ms: middle(taken) };
}

const said = console.log;
console.log = () => {};
const tasks = JSON.parse(fs.readFileSync(0, 'utf8'));
const results = {
  node: process.version,
  expressions: await evaluateExpressions(tasks.expressions),
  filled: await fillIn(tasks.filled),
  calculated: await calculateForm(tasks.calculated),
};
const versions = {};
for (const name of ['fhirpath', '@aehrc/sdc-populate', 'lforms']) {
  const found = JSON.parse(fs.readFileSync(new URL(`node_modules/${name}/package.json`, import.meta.url)));
  versions[name] = found.version;
}
console.log = said;
console.log(JSON.stringify({ ...results, versions }));
process.exit(0);
