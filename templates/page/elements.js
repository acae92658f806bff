// Elements and figures, as every page makes them.

const find = (id) => document.getElementById(id);
const number = (value) => value.toLocaleString("en-US");
const count = (value, one, many) => `${number(value)} ${value === 1 ? one : many}`;

// Control characters, and what turns the direction of writing, would let a name forge its
// surroundings.
const UNPRINTABLE =
  /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufffe\uffff]|\p{Cs}/gu;
const LONGEST_NAME = 2000;

function printable(text) {
  const cut = text.length > LONGEST_NAME ? text.slice(0, LONGEST_NAME) + "…" : text;
  return cut.replace(UNPRINTABLE, "\ufffd");
}

// Takes out of the page what its scripts read.
function takeData(id) {
  const element = find(id);
  const data = JSON.parse(element.textContent);
  element.remove();
  return data;
}

function make(tag, attributes = {}, text = "") {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text) element.textContent = text;
  return element;
}

function percent(share) {
  return `${(100 * share).toFixed(2)}%`;
}

function compare(one, other) {
  return one < other ? -1 : Number(one > other);
}
