/**
 * What the pages' modules say: the calls of gettext and ngettext, and what looks like words to people outside of them.
 *
 *   tools/js node tools/texts.mjs FILE...   prints {"messages": [[file, one, many | null]], "loose": [[file, line, text]]}
 *
 * Reads the syntax tree, so a text in a comment, a type or a nested template is not taken for something else.
 * Elsewhere: who makes a catalogue of it (tests/words/collect.py), who looks for loose words (tests/style/test_words.py).
 */

import { readFileSync } from "node:fs";
import ts from "typescript";

/** Calls whose first texts are translated. */
const CALLS = { gettext: 1, ngettext: 2 };
/** Values of these are never read by people. */
const NAMES = /^(class|type|role|id|for|scope|href|d|tabindex|autocomplete|name|aria-labelledby|aria-describedby|aria-hidden|aria-live|data-(?!label$).*|keys|tag|font|kind|lineCap|lineJoin|textAlign|textBaseline|transform|method|credentials|redirect|month|day|hour|Accept|Content-Type)$/;
/** Nor what these are called with. */
const CALLEES = /^(byId|querySelector|querySelectorAll|closest|matches|matchMedia|getElementById|addEventListener|createElement|createElementNS|setAttribute|removeAttribute|getAttribute|getPropertyValue|setProperty|toggle|add|remove|contains|getContext|getItem|setItem|removeItem|has|set|delete|includes|startsWith|endsWith|indexOf|split|join|replace|replaceAll|localeCompare|toLocaleDateString|toLocaleTimeString|NumberFormat|DateTimeFormat|URLSearchParams|mark|measure|getEntriesByName|get|post|localTime)$/;
const WORDS = /\p{L}{2,}[,.:;]? \p{L}|^\p{Lu}\p{Ll}+|^\p{L}{3,}$/u;

const messages = [];
const loose = [];

/** @param {import("typescript").Node} node @returns {string} the text of a literal; holes of a template as {} */
function textOf(node) {
  if (ts.isTemplateExpression(node)) return node.head.text + node.templateSpans.map((span) => `{}${span.literal.text}`).join("");
  return ts.isStringLiteralLike(node) ? node.text : "";
}

/** @param {import("typescript").Expression} callee @returns {string} its last name */
function calleeName(callee) {
  return ts.isPropertyAccessExpression(callee) ? callee.name.text : ts.isIdentifier(callee) ? callee.text : "";
}

/** @param {import("typescript").Node} node whether people read the value of what it is part of */
function isRead(node) {
  const { parent } = node;
  if (ts.isImportDeclaration(parent) || ts.isLiteralTypeNode(parent) || ts.isCaseClause(parent) || ts.isElementAccessExpression(parent)) return false;
  if (ts.isBinaryExpression(parent) && [ts.SyntaxKind.EqualsEqualsEqualsToken, ts.SyntaxKind.ExclamationEqualsEqualsToken].includes(parent.operatorToken.kind)) return false;
  if (ts.isPropertyAssignment(parent)) return parent.name !== node && !NAMES.test(parent.name.text ?? "");
  if (ts.isCallExpression(parent) || ts.isNewExpression(parent)) {
    if (!(parent.arguments ?? []).includes(node)) return true;
    const name = calleeName(parent.expression);
    return !CALLEES.test(name) && !(["make", "shape", "cell"].includes(name) && parent.arguments[0] === node && name !== "cell");
  }
  if (ts.isConditionalExpression(parent) || ts.isParenthesizedExpression(parent) || ts.isArrayLiteralExpression(parent) || ts.isTemplateSpan(parent) || ts.isTemplateExpression(parent) || ts.isBinaryExpression(parent)) return isRead(parent);
  return true;
}

/** @param {string} file @param {import("typescript").SourceFile} source @param {import("typescript").Node} node */
function walk(file, source, node) {
  if (ts.isCallExpression(node) && ts.isIdentifier(node.expression) && Object.hasOwn(CALLS, node.expression.text)) {
    const wanted = CALLS[calleeName(node.expression)];
    const texts = node.arguments.slice(0, wanted);
    if (texts.length < wanted || !texts.every(ts.isStringLiteralLike)) {
      const { line } = source.getLineAndCharacterOfPosition(node.getStart());
      throw new Error(`${file}:${line + 1}: what is translated must be a literal, not put together`);
    }
    messages.push([file, texts[0].text, texts[1]?.text ?? null]);
    for (const other of node.arguments.slice(wanted)) walk(file, source, other);
    return;
  }
  if ((ts.isStringLiteralLike(node) || ts.isTemplateExpression(node)) && isWord(node)) {
    loose.push([file, source.getLineAndCharacterOfPosition(node.getStart()).line + 1, textOf(node)]);
  }
  ts.forEachChild(node, (child) => walk(file, source, child));
}

/** @param {import("typescript").Node} node a lower-case word alone may be a name of ours, except where it is shown */
function isWord(node) {
  const text = textOf(node).replaceAll("{}", "0").trim();
  if (!WORDS.test(text) || !isRead(node)) return false;
  if (!/^\p{Ll}+$/u.test(text)) return !/^(--|[a-z]+[A-Z]|https?:|\/)/.test(text);
  let outer = node.parent;
  while (ts.isConditionalExpression(outer) || ts.isParenthesizedExpression(outer) || ts.isBinaryExpression(outer)) outer = outer.parent;
  if (ts.isPropertyAssignment(outer)) return ["text", "title", "placeholder", "aria-label"].includes(outer.name.text ?? "");
  return ts.isCallExpression(outer) && ["setText", "cell"].includes(calleeName(outer.expression));
}

for (const file of process.argv.slice(2)) {
  const source = ts.createSourceFile(file, readFileSync(file, "utf8"), ts.ScriptTarget.ES2022, true, ts.ScriptKind.JS);
  walk(file, source, source);
}
console.log(JSON.stringify({ messages, loose }));
