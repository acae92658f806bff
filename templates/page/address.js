// The state of the view, and its form in the address behind the #: what differs from the page's
// `DEFAULTS`. What may be one of a few is in `choices`.

const SETTLE_MS = 250; // until a view that moves is put into the address

let settling = 0;

// Whatever stands in an address makes a state: it may be anybody's.
function parseState(hash, choices) {
  const state = { ...DEFAULTS };
  for (const [name, text] of new URLSearchParams(hash.slice(1))) {
    if (!Object.hasOwn(DEFAULTS, name)) continue;
    const allowed = choices[name];
    if (typeof DEFAULTS[name] === "boolean") state[name] = text === "1";
    else if (!allowed || allowed.includes(text)) state[name] = text;
  }
  return state;
}

function formatState(state) {
  const given = new URLSearchParams();
  for (const [name, value] of Object.entries(state)) {
    if (value !== DEFAULTS[name])
      given.set(name, typeof value === "boolean" ? String(Number(value)) : value);
  }
  return `#${given}`;
}

function writeAddress(isStep) {
  clearTimeout(settling);
  const hash = formatState(state);
  if (hash === (location.hash || "#")) return;
  history[isStep ? "pushState" : "replaceState"](null, "", hash);
}

// For what changes many times a second: browsers limit how often an address does.
function writeAddressSoon() {
  clearTimeout(settling);
  settling = setTimeout(() => writeAddress(false), SETTLE_MS);
}

function formatView(chart) {
  const { left, right } = chart.view;
  return chart.isZoomed() ? `${Number(left.toPrecision(12))}-${Number(right.toPrecision(12))}` : "";
}

// Returns the part that a text names, or null where it names none.
function parseView(text) {
  const found = /^(\d[\d.]*(?:e-?\d+)?)-(\d[\d.]*(?:e-?\d+)?)$/.exec(text);
  if (!found) return null;
  const [left, right] = [Number(found[1]), Number(found[2])];
  return left < right && Number.isFinite(right) ? { left, right } : null;
}
