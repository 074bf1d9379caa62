/**
 * The few DOM helpers. All text goes in as textContent or attributes: nothing here parses HTML.
 */

/**
 * @template {Element} T
 * @param {string} id
 * @param {new (...args: never[]) => T} type
 * @returns {T}
 * @throws {Error} when the template lacks the element
 */
export function byId(id, type) {
  const element = document.getElementById(id);
  if (!(element instanceof type)) throw new Error(`The page has no ${type.name} with the id ${id}`);
  return element;
}

/**
 * Make an element.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {{class?: string, text?: string, title?: string, [attribute: string]: string | undefined}} [attributes]
 * @param {(Node | string)[]} [children]
 * @returns {HTMLElementTagNameMap[K]}
 */
export function make(tag, attributes = {}, children = []) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined) continue;
    if (name === "text") element.textContent = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/**
 * Make a part of a picture.
 * @param {string} tag of SVG
 * @param {Record<string, string>} attributes
 * @param {string} [text]
 * @param {string} [title] what is shown on pointing, and read aloud
 * @returns {SVGElement}
 */
export function shape(tag, attributes, text, title) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  if (title !== undefined) element.append(shape("title", {}, title));
  return /** @type {SVGElement} */ (element);
}

/**
 * Change text only when it differs, so that an unchanged page causes no layout.
 * @param {Element} element
 * @param {string} text
 * @param {string} [title]
 */
export function setText(element, text, title) {
  if (element.textContent !== text) element.textContent = text;
  if (title !== undefined && element.getAttribute("title") !== title) element.setAttribute("title", title);
}

/**
 * Tell a state by its words and its colour, and change neither without need.
 * @param {HTMLElement} pill
 * @param {{tone: string, text: string, title?: string}} told
 */
export function setPill(pill, { tone, text, title }) {
  if (pill.dataset["tone"] !== tone) pill.dataset["tone"] = tone;
  setText(pill, text, title);
}

/**
 * Say what is wrong, or hide that.
 * @param {HTMLElement} problem
 * @param {string} text empty when nothing is
 */
export function setProblem(problem, text) {
  setState(problem, { hidden: text === "" });
  setText(problem, text);
}

/**
 * Set an attribute only where it differs.
 * @param {Element} element
 * @param {string} name
 * @param {string} value
 */
export function setAttribute(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

/**
 * Hide, disable or entitle an element only where that differs: setting an attribute to what it is costs a frame all the same.
 * @param {HTMLElement & {disabled?: boolean}} element
 * @param {{hidden?: boolean, disabled?: boolean, title?: string}} state
 */
export function setState(element, { hidden, disabled, title }) {
  if (hidden !== undefined && element.hidden !== hidden) element.hidden = hidden;
  if (disabled !== undefined && element.disabled !== disabled) element.disabled = disabled;
  if (title !== undefined && element.title !== title) element.title = title;
}

/**
 * A node's mark: colour and label together, always.
 * @param {string} label
 * @param {string} color a CSS colour
 * @param {{down?: boolean, title?: string}} [options]
 * @returns {HTMLSpanElement}
 */
export function swatch(label, color, { down = false, title } = {}) {
  const dot = make("span", { class: down ? "dot down" : "dot", "aria-hidden": "true" });
  dot.style.setProperty("--c", color);
  return make("span", { class: "node", title }, [dot, make("span", { text: label })]);
}

/**
 * Run at most once per frame, however often it is asked for.
 * @param {() => void} work
 * @returns {() => void}
 */
export function oncePerFrame(work) {
  let due = false;
  return () => {
    if (due) return;
    due = true;
    requestAnimationFrame(() => {
      due = false;
      work();
    });
  };
}
