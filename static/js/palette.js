/**
 * A lasting colour for each node, tellable apart with the common colour blindnesses; a label always stands beside it.
 *
 * The eight hues are those of Okabe and Ito (2008), lightened or darkened for the two themes. Beyond eight nodes they
 * come again in a lighter and a darker shade; hue alone cannot carry 64 names, which is why labels do.
 */

import { interpolateLab } from "d3-interpolate";

const DARK = ["#4aa3df", "#e9a23b", "#2fb58a", "#d58ab5", "#e36f45", "#8fd3f4", "#e5d85c", "#a3adc2"];
const LIGHT = ["#1f78b4", "#e08e0b", "#0b8f6a", "#b8659a", "#cb4b16", "#4cb2e1", "#b59f00", "#6b7487"];
const SHADES = [0, 0.38, -0.34, 0.62, -0.55];

/**
 * @param {number} color the node's number
 * @param {boolean} dark theme
 * @returns {string} a CSS colour
 */
export function nodeColor(color, dark) {
  const hues = dark ? DARK : LIGHT;
  const hue = /** @type {string} */ (hues[color % hues.length]);
  const shade = /** @type {number} */ (SHADES[Math.floor(color / hues.length) % SHADES.length]);
  if (shade === 0) return hue;
  return interpolateLab(hue, shade > 0 ? "#ffffff" : "#000000")(Math.abs(shade));
}

/**
 * Black or white, whichever reads better on a colour (WCAG relative luminance).
 * @param {string} color as #rrggbb or rgb(r, g, b)
 * @returns {string}
 */
export function inkOn(color) {
  const [r = 0, g = 0, b = 0] = channels(color).map((value) => {
    const part = value / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.2 ? "#0b0d12" : "#ffffff";
}

/** @param {string} color @returns {number[]} */
function channels(color) {
  if (color.startsWith("#")) return [1, 3, 5].map((at) => Number.parseInt(color.slice(at, at + 2), 16));
  return (color.match(/[\d.]+/g) ?? []).slice(0, 3).map(Number);
}
