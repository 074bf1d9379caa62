/**
 * The keys of a page: every handler is registered here, and so is in the list that `?` shows.
 *
 * Invariants
 *   K1  Nothing else listens to keys (tests/style looks), so a key that does something is listed, with what it does.
 *   K2  A key with Alt, Control or Meta belongs to the browser. Keys of the whole page do nothing while somebody types,
 *       nor under a dialog, and can be turned off: who speaks to the browser would press them by talking.
 * Elsewhere: what they do (whoever registers them).
 */

import { make } from "./dom.js";
import { gettext } from "./text.js";

/**
 * @typedef {{keys: string[], does: string, act: (event: KeyboardEvent) => void | boolean}} Binding
 *   `keys` as KeyboardEvent.key has them, letters small, "Shift+" before those that have a name; `act` returns false
 *   for a press that it has no use for
 * @typedef {{where: string, target: HTMLElement | Document, everywhere: boolean, bindings: Binding[]}} Group
 */

const OFF = "lockring-keys";
/** @type {Group[]} */
const groups = [];

/**
 * Listen to keys, and list them.
 * @param {string} where they work, in words
 * @param {HTMLElement | Document} target the element that has the focus, or the document: anywhere on the page
 * @param {Binding[]} bindings
 */
export function listenKeys(where, target, bindings) {
  const group = { where, target, everywhere: target instanceof Document, bindings };
  groups.push(group);
  target.addEventListener("keydown", (event) => event instanceof KeyboardEvent && press(group, event));
}

/** Keys of the whole page. @param {Binding[]} bindings */
export function listenPageKeys(bindings) {
  listenKeys(gettext("Anywhere on the page"), document, bindings);
}

/**
 * The keys of a place in a sentence, for who is told of an element.
 * @param {Binding[]} bindings
 * @returns {string}
 */
export function tellKeys(bindings) {
  return bindings.map(({ keys, does }) => `${keys.map(nameOf).join(", ")}: ${does}`).join(". ");
}

/** @param {Group} group @param {KeyboardEvent} event */
function press(group, event) {
  if (event.altKey || event.ctrlKey || event.metaKey || event.defaultPrevented) return;
  const { name, plain } = pressed(event);
  if (group.everywhere && name !== "Escape" && (isOff() || isTyping(event.target) || document.querySelector("dialog[open]"))) return;
  const binding = group.bindings.find(({ keys }) => keys.includes(name)) ?? group.bindings.find(({ keys }) => keys.includes(plain));
  if (binding !== undefined && binding.act(event) !== false) event.preventDefault();
}

/** @param {KeyboardEvent} event @returns {{name: string, plain: string}} with and without Shift */
function pressed(event) {
  const plain = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  return { name: event.shiftKey && event.key.length > 1 ? `Shift+${plain}` : plain, plain };
}

/** @param {EventTarget | null} target */
function isTyping(target) {
  return target instanceof HTMLElement && (target.isContentEditable || ["INPUT", "SELECT", "TEXTAREA"].includes(target.tagName));
}

/** @returns {boolean} whether the reader has turned the page's keys off */
function isOff() {
  try {
    return localStorage.getItem(OFF) === "off";
  } catch {
    return false; // no storage: nothing was chosen
  }
}

/** @param {boolean} on */
function turn(on) {
  try {
    if (on) localStorage.removeItem(OFF);
    else localStorage.setItem(OFF, "off");
  } catch {
    // No storage: the choice cannot be kept.
  }
}

/** @param {string} key @returns {string} as it stands on a keyboard */
function nameOf(key) {
  /** @type {Record<string, string>} */
  const names = {
    ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", " ": gettext("Space"), Escape: gettext("Esc"), Tab: gettext("Tab"), Enter: gettext("Enter"),
    PageUp: gettext("Page up"), PageDown: gettext("Page down"), Home: gettext("Home"), End: gettext("End"),
  };
  if (key.startsWith("Shift+")) return `${gettext("Shift")} ${nameOf(key.slice(6))}`;
  return names[key] ?? key.toUpperCase();
}

/** @returns {[string, Binding[]][]} by place, those of the whole page first */
function listed() {
  /** @type {Map<string, Binding[]>} */
  const places = new Map();
  for (const { where, bindings } of [...groups].sort((a, b) => Number(b.everywhere) - Number(a.everywhere))) {
    places.set(where, [...(places.get(where) ?? []), ...bindings]);
  }
  return [...places, [gettext("As in every page"), [
    { keys: ["Tab", "Shift+Tab"], does: gettext("to the next control, and back"), act: () => false },
    { keys: ["Enter", " "], does: gettext("press it, open it, tick it"), act: () => false },
    { keys: ["Escape"], does: gettext("close a dialog"), act: () => false },
  ]]];
}

/** @returns {HTMLDialogElement} */
function makeDialog() {
  const dialog = make("dialog", { class: "keys", id: "keys-dialog", "aria-labelledby": "keys-title" });
  const close = make("button", { type: "button", class: "primary", autofocus: "", text: gettext("Close") });
  const switchBox = make("input", { type: "checkbox", role: "switch", id: "keys-on" });
  switchBox.checked = !isOff();
  switchBox.addEventListener("change", () => turn(switchBox.checked));
  close.addEventListener("click", () => dialog.close());
  dialog.append(
    make("h2", { id: "keys-title", text: gettext("Keys of this page") }),
    make("div", { class: "scroll", tabindex: "0", role: "region", "aria-labelledby": "keys-title" }, listed().map(([where, bindings]) => make("section", {}, [
      make("h3", { text: where }),
      make("dl", {}, bindings.map(({ keys, does }) => make("div", {}, [
        make("dt", {}, keys.map((key) => make("kbd", { "data-key": key, text: nameOf(key) }))), make("dd", { text: does }),
      ]))),
    ]))),
    make("label", { class: "switch" }, [switchBox, gettext("Keys work anywhere on the page")]),
    make("div", { class: "dialog-end" }, [close]),
  );
  dialog.addEventListener("close", () => dialog.remove());
  return dialog;
}

/** Show what each key does, as of now. */
function showKeys() {
  const dialog = makeDialog();
  document.body.append(dialog);
  dialog.showModal();
}

document.getElementById("keys")?.addEventListener("click", showKeys);
listenPageKeys([{ keys: ["?"], does: gettext("show these keys"), act: showKeys }]);
